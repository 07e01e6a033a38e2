import json, statistics
def tables(r):
    out=[]
    for k,row in r.get("in-process",{}).get("rows",{}).items():
        m={n:statistics.median(e["ns"])/1000 for n,e in row.items()}
        out.append(f"{k} "+" ".join(f"{n}={m[n]:.1f} (min {min(e['ns'])/1000:.1f}, blocked {e['blocked']}/{e['transactions']})" for n,e in row.items())+f" 1/{m['newest']/m['ours']:.1f}")
    for row in r.get("sweep",{}).get("rows",[]): out.append(str(row))
    for w,row in r.get("proxies",{}).get("rows",{}).items():
        for n,e in row.items():
            out.append(f"{w} {n} cpu {statistics.median(x['cpu_us'] for x in e):.1f} rps {statistics.median(x['rps'] for x in e):.0f} p50 {statistics.median(x['p50_ms'] for x in e):.2f} p99 {statistics.median(x['p99_ms'] for x in e):.2f} refused {e[0]['refused']:.4f} share {e[0]['cpu_share']:.2f}")
    return "\n".join(out)
