"""What may not be exceeded: programs beside this directory that measure one requirement each and know its bar."""
import os

import tools

# Names of benchmarks and their arguments.
PROGRAMS = [
    ["hostile"], ["hostile", "--level", "4"], ["response"], ["scale"], ["allocations"], ["memory"],
]


def check(options):
    """Their lines `result KEY VALUE UNIT BAR met|missed WORDS…`, taken apart."""
    programs = {name: tools.program(options, name) for name in dict.fromkeys(name for name, *_ in PROGRAMS)}
    environment = {**os.environ, "PORTCULLIS_CRS_DIR": str(options.crs), "PORTCULLIS_WORKLOADS": str(options.workloads)}
    rows = []
    for name, *arguments in PROGRAMS:
        tools.say(f"limits: {' '.join([name, *arguments])}")
        command = ["taskset", "-c", str(options.cpus[0]), programs[name], *arguments]
        told = tools.run(command, env=environment, cwd=tools.ROOT)
        found = [line.split(" ", 6)[1:] for line in told.splitlines() if line.startswith("result ")]
        if not found:
            tools.fail(f"{name} tells nothing:\n{told}")
        rows += [{"key": key, "value": float(value), "unit": unit, "bar": float(bar), "met": met == "met",
                  "words": words} for key, value, unit, bar, met, words in found]
    return {"build": tools.BUILDS[options.build], "rows": rows}
