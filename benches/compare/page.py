"""Results as tables: on the terminal, and in docs/performance.md between markers."""
import re
import statistics

import chart
import tools

PAGE = tools.ROOT / "docs/performance.md"
CHART = tools.ROOT / "docs/img/performance.svg"

NAMES = {
    "W1": "GET of a browser, 3 short arguments",
    "W2": "form of 1 KB, 10 fields",
    "W3": "JSON of 4 KB, 121 values",
    "W4": "multipart, a file of 64 KB",
    "W5": "attacks, blocked and recorded",
    "W6": "GET, 20 arguments of prose",
}
# The most that ours may take of the fastest libmodsecurity's CPU time: one part of so many.
BARS = {"W1@1": 60, "W2@1": 60, "W3@1": 100, "W4@1": 70, "W5@1": 30, "W6@1": 60, "W1@4": 45}
# The most that a proxied W1 may cost, as a multiple of another proxy's.
PROXY_BARS = {"off": 2.2, "nginx": 4.0}
MEMORY_BAR = 90
PROXIES = {
    "nginx": "nginx, plain",
    "modsecurity": "nginx + libmodsecurity",
    "off": "Portcullis, engine off",
    "crs": "Portcullis + CRS",
}

# Functions of others that are worth a row of the profile.
OTHERS = {
    "~regex_automata::meta::regex::Regex::search": "regular expressions, all",
    "~__rustc::__rust_alloc": "allocating",
    "~__rustc::__rust_dealloc": "freeing",
}


def tables(results):
    """All tables, for a terminal."""
    return "\n\n".join(make(results[part]) for part, make in PARTS.items() if part in results)


def write(results):
    """Puts each table between its markers, and draws the chart."""
    page = PAGE.read_text()
    for part, make in PARTS.items():
        if part not in results:
            continue
        marked = re.compile(rf"(<!-- {part}: .*? -->\n).*?(<!-- end -->)", re.S)
        if not marked.search(page):
            tools.fail(f"{PAGE} has no place for {part}")
        text = make(results[part])
        page = marked.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    PAGE.write_text(page)
    if "in-process" in results and "proxies" in results:
        CHART.parent.mkdir(parents=True, exist_ok=True)
        CHART.write_text(chart.draw(*bars(results)))
    tools.say(f"written: {PAGE}")


def bars(results):
    """What the chart shows: groups of bars, each a label and its bars' microseconds."""
    engines = [(label(key), [row[name] for name in ("newest", "debian", "ours")])
               for key, row in medians(results["in-process"]).items()]
    first = results["proxies"]["rows"]["W1"]
    proxies = [("W1", [cpu(first[name]) for name in ("modsecurity", "crs", "off", "nginx")])]
    return engines, proxies, results["in-process"]["machine"]["crs"]


def in_process(result):
    rows = []
    middle = medians(result)
    least = {key: {name: min(entry["ns"]) / 1000 for name, entry in row.items()}
             for key, row in result["rows"].items()}
    for key, row in middle.items():
        share = row["newest"] / row["ours"]
        met = "" if share >= BARS[key] else ", missed"
        rows.append([label(key), *(f"{time(row[name])} ({time(least[key][name])})"
                                   for name in ("newest", "debian", "ours", "uncached")),
                     f"**1/{share:.0f}**", f"1/{BARS[key]}{met}"])
    text = table(["workload", "libmodsecurity 3.0.15", "libmodsecurity of Debian", "Portcullis",
                  "without verdict cache", "share", "bar"], rows)
    engines = ", ".join(sorted(set(result["engines"].values())))
    text += (f"\n\nCPU time of a transaction: median and, in brackets, least of {result['passes']} passes. "
             f"Engines: {engines} ({how(result)}). {on(result)}")
    odd = [f"{label(key)}: {name} blocked {entry['blocked']} of {entry['transactions']}"
           for key, row in result["rows"].items() for name, entry in row.items()
           if entry["blocked"] != (entry["transactions"] if key.startswith("W5") else 0)]
    if odd:
        text += "\n\nNot answered as meant: " + "; ".join(odd) + "."
    return text


def proxies(result):
    rows = []
    for workload, row in result["rows"].items():
        for name, runs in row.items():
            rows.append([f"{workload} {NAMES[workload]}" if name == "nginx" else "", PROXIES[name], time(cpu(runs)),
                         time(min(run["cpu_us"] for run in runs)), f"{middle(runs, 'rps'):,.0f}",
                         f"{middle(runs, 'p50_ms'):.1f} ms", f"{middle(runs, 'p99_ms'):.1f} ms",
                         "" if name == "crs" else f"1/{cpu(runs) / cpu(row['crs']):.1f}" if name == "modsecurity"
                         else f"{cpu(row['crs']) / cpu(runs):.2f}×"])
    text = table(["workload", "proxy", "CPU a request", "least", "requests/s", "p50", "p99", "Portcullis + CRS takes"],
                 rows)
    first = result["rows"]["W1"]
    verdicts = []
    for name, bar in PROXY_BARS.items():
        times = cpu(first["crs"]) / cpu(first[name])
        verdicts.append([f"W1 with CRS, against {PROXIES[name]}", f"**{times:.2f}×**",
                         f"{bar}×{'' if times <= bar else ', missed'}"])
    megabytes = {name: [kib * 1.024 / 1000 for kib in both] for name, both in result["memory_kb"].items()}
    after = megabytes["crs"][1]
    verdicts.append(["resident memory with CRS, after load", f"**{after:.1f} MB**",
                     f"{MEMORY_BAR} MB{'' if after < MEMORY_BAR else ', missed'}"])
    text += "\n\n" + table(["", "measured", "bar"], verdicts)
    memory = ", ".join(f"{PROXIES[name]} {before:.0f} MB, {after:.0f} MB" for name, (before, after) in megabytes.items())
    text += (f"\n\nMedians of {result['passes']} passes of {result['seconds']} s with {result['connections']} "
             f"connections; nginx {result['nginx']}, Portcullis {how(result)}. "
             f"Resident memory before the first load and after the last: {memory}. {on(result)}")
    return text


def sweep(result):
    kinds = {"form": "form, one field of prose", "file": "multipart, one file"}
    cells = {(row["kind"], row["bytes"], row["level"]): row for row in result["rows"]}
    rows = []
    for kind, size in dict.fromkeys((row["kind"], row["bytes"]) for row in result["rows"]):
        cell = [kinds[kind], f"{size // 1000:,} KB"]
        for level in (1, 4):
            row = cells[kind, size, level]
            taken = statistics.median(row["ns"]) / 1000
            cell += [time(taken), f"{taken * 1000 / size:,.1f} ns"]
        rows.append(cell)
    return (table(["body", "size", "level 1", "for each byte", "level 4", "for each byte"], rows)
            + f"\n\nCPU time of a transaction in process, median. {on(result)}")


def profile(result):
    shares = {workload: {name: n / functions["all"] for name, n in functions.items()}
              for workload, functions in result["workloads"].items()}
    first, second = shares
    # What begins with ~ is not the engine's own.
    worth = [name for name in dict.fromkeys([*shares[first], *shares[second]])
             if (name in OTHERS or not name.startswith("~")) and name != "all" and " " not in name
             and max(share.get(name, 0) for share in shares.values()) >= 0.02]
    worth.sort(key=lambda name: -shares[first].get(name, 0))
    rows = [[OTHERS.get(name, f"`{name}`"), *(f"{share.get(name, 0):.1%}" for share in shares.values())] for name in worth]
    totals = ", ".join(f"{functions['all']:,.0f} on {workload}" for workload, functions in result["workloads"].items())
    return (table(["function, with all that it calls", *shares], rows)
            + f"\n\nInstructions of a transaction: {totals}. {on(result)}")


def limits(result):
    rows = []
    for row in result["rows"]:
        level = "at paranoia level 4: " if row["key"].endswith(".level4") else ""
        rows.append([plain(level + row["words"]), f"{row['value']:,.{2 if row['value'] < 10 else 1}f} {row['unit']}",
                     f"{row['bar']:g} {row['unit']}", "yes" if row["met"] else "**no**"])
    return (table(["requirement", "measured", "at most", "met"], rows)
            + f"\n\nPrograms {how(result)}. {on(result)}")


def plain(text):
    """Values' own signs mean nothing in a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("`", "\\`")


PARTS = {"in-process": in_process, "proxies": proxies, "profile": profile, "sweep": sweep, "limits": limits}


def medians(result):
    return {key: {name: statistics.median(entry["ns"]) / 1000 for name, entry in row.items()}
            for key, row in result["rows"].items()}


def middle(runs, figure):
    return statistics.median(run[figure] for run in runs)


def cpu(runs):
    return middle(runs, "cpu_us")


def label(key):
    workload, level = key.split("@")
    return f"{workload} {NAMES[workload]}" + (f", at paranoia level {level}" if level != "1" else "")


def time(microseconds):
    """Three digits."""
    if microseconds < 1000:
        return f"{microseconds:.{0 if microseconds >= 100 else 1}f} µs"
    return f"{microseconds / 1000:.{1 if microseconds >= 10_000 else 2}f} ms"


def how(result):
    """How it was built. Results of before programs were trained have cargo's profile there."""
    build = result["build"]
    return build if " " in build else f"built with `--profile {build}`"


def on(result):
    machine = result["machine"]
    return (f"CRS {machine['crs']}, {machine['cpu']} with {machine['cpus']} CPUs, {machine['system']}, "
            f"Linux {machine['kernel']}, Rust {machine['rust']}, commit {machine['commit']}.")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
