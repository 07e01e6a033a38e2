import json, statistics
def tables(r):
    out=[]
    for k,row in r.get("in-process",{}).get("rows",{}).items():
        m={n:statistics.median(e["ns"])/1000 for n,e in row.items()}
        out.append(f"{k} "+" ".join(f"{n}={m[n]:.1f} (min {min(e['ns'])/1000:.1f}, blocked {e['blocked']}/{e['transactions']})" for n,e in row.items())+f" 1/{m['newest']/m['ours']:.1f}")
    for row in r.get("sweep",{}).get("rows",[]): out.append(str(row))
    return "\n".join(out)
