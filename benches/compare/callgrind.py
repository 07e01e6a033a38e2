"""Where a transaction's instructions go, counted by valgrind: the same on every run and on a busy machine."""
import os
import re
from concurrent.futures import ThreadPoolExecutor

import tools
from variants import Variants

WORKLOADS = ["W1", "W6"]
# The difference between runs of so many transactions is without start-up, and without what is made at first use.
FEW, MANY = 100, 300
LINE = re.compile(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+\S*?:(\S.*?)(?: \[[^]]*\])?$")


def profile(options, directory):
    tools.require(["valgrind"])
    # With the symbols that the profile for images strips.
    program = tools.build("release", "--no-default-features", "--bench", "instructions")
    result = {"build": tools.BUILDS["release"], "workloads": {}}

    def count(workload, transactions):
        return _count(program, workload, transactions, options, directory)

    with ThreadPoolExecutor(len(options.cpus)) as pool:
        for workload in WORKLOADS:
            tools.say(f"profile: {workload}")
            # No request twice: what comes again is remembered.
            Variants(options.workloads).write(workload, MANY, "profile", directory / "profile")
            few, many = pool.map(lambda n: count(workload, n), (FEW, MANY))
            functions = {name: (many[name] - few.get(name, 0)) / (MANY - FEW) for name in many}
            result["workloads"][workload] = {name: n for name, n in functions.items() if n > 0}
    return result


def _count(program, workload, transactions, options, directory):
    """Instructions of each function with all that it calls."""
    out = directory / f"callgrind.{workload}.{transactions}"
    tools.run(["valgrind", "--tool=callgrind", "--toggle-collect=*support::transact*",
               f"--callgrind-out-file={out}", program, workload, str(transactions)],
              env={**os.environ, "PORTCULLIS_CRS_DIR": str(options.crs),
                   "PORTCULLIS_WORKLOADS": str(directory / "profile")}, cwd=directory)
    told = tools.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--auto=no", str(out)])
    functions = {}
    for line in told.splitlines():
        found = LINE.match(line)
        if found:
            name = _short(found[2])
            # A function has a line for each file that something was inlined from; the one with all of it is largest.
            functions[name] = max(functions.get(name, 0), int(found[1].replace(",", "")))
        elif "PROGRAM TOTALS" in line:
            functions["all"] = int(line.split()[0].replace(",", ""))
    return functions


def _short(name):
    """`a::b::<impl portcullis::c::D>::e` and `<portcullis::c::D as portcullis::f::G>::e` are `c::D::e`."""
    name = re.sub(r"[\w:]*<impl ([\w:]+)>", r"\1", name)
    name = re.sub(r"<([\w:]+) as [^>]+>", r"\1", name)
    return re.sub(r"\bportcullis::", "", name) if "portcullis::" in name else "~" + name
