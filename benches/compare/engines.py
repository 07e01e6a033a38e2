"""Engines in process: one thread on one CPU, requests from memory, nothing of a network."""
import os
import random
import subprocess
from pathlib import Path

import tools
from variants import Variants

WORKLOADS = ["W1", "W2", "W3", "W4", "W5", "W6"]
# A row of results is a workload at a paranoia level.
ROWS = [(workload, 1) for workload in WORKLOADS] + [("W1", 4)]
# Variants that each pass sends; a slow engine gets the first of them.
VARIANTS = 128
SLOW = 32

SETTINGS = r"""SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecAuditEngine RelevantOnly
SecAuditLogParts ABHZ
SecAuditLogFormat JSON
SecAuditLogType Serial
SecAuditLog {audit}
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}"
{more}Include {crs}/crs-setup.conf.example
Include {crs}/rules/*.conf
"""


def write_rules(path, crs, audit, level=1, more=""):
    """The rules that every engine gets: its settings, CRS's setup as released, CRS."""
    Path(path).write_text(SETTINGS.format(audit=audit, level=level, crs=crs, more=more))
    return str(path)


class Driver:
    """A program that runs transactions when asked, see rival.c and ours.rs."""

    def __init__(self, command, cpu, environment=None):
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        self.name = self._answer().removeprefix("ready ")

    def run(self, count, files):
        """Nanoseconds of CPU for a transaction, and how many were blocked."""
        self.process.stdin.write(f"{count} {' '.join(files)}\n")
        self.process.stdin.flush()
        nanoseconds, blocked = self._answer().split()
        return int(nanoseconds), int(blocked)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            tools.fail(f"{self.process.args[3]} ended, see above")
        return line.strip()


def compare(options, directory):
    """Passes in which every engine runs every row in turn, so that a slow minute of the machine meets all of them."""
    variants = Variants(options.workloads)
    ours = tools.program(options, "compare")
    commands = {name: (command, environment, []) for name, (command, environment)
                in tools.rivals(options.target / "compare").items()}
    commands["ours"] = ([ours], {}, ["--audit-log"])
    commands["uncached"] = ([ours], {}, ["--no-verdict-cache", "--audit-log"])
    drivers = {}
    result = {"passes": options.passes, "build": tools.BUILDS[options.build], "engines": {}, "rows": {}}
    try:
        for name, (command, environment, flags) in commands.items():
            for level in (1, 4):
                audit = directory / f"{name}-{level}.log"
                rules = write_rules(directory / f"{name}-{level}.conf", options.crs, audit, level)
                audit = [str(audit)] if flags else []
                driver = Driver([*command, rules, *flags, *audit], options.cpus[0], environment)
                drivers[name, level] = driver
                result["engines"][name] = driver.name
        for number in range(options.passes):
            tools.say(f"in process: pass {number + 1} of {options.passes}")
            for workload, level in ROWS:
                row = result["rows"].setdefault(f"{workload}@{level}", {})
                # Nobody sees the same request twice.
                files = variants.write(workload, VARIANTS, f"{level} {number}", directory / "requests")
                warm = [str(path) for path in variants.originals[workload]]
                for name in commands:
                    few = name in ("newest", "debian")
                    count = SLOW if few else VARIANTS
                    # The program before has filled the CPU's caches with its own.
                    drivers[name, level].run(4 if few else 64, warm)
                    taken, blocked = drivers[name, level].run(count, files[:count])
                    entry = row.setdefault(name, {"ns": [], "blocked": 0, "transactions": 0})
                    entry["ns"].append(taken)
                    entry["blocked"] += blocked
                    entry["transactions"] += count
                    log = directory / f"{name}-{level}.log"
                    if log.exists():
                        os.truncate(log, 0)
    finally:
        for driver in drivers.values():
            driver.close()
    return result


KB = 1000
BODIES = [1 * KB, 10 * KB, 100 * KB, 1000 * KB]
FILES = [10 * KB, 100 * KB, 1000 * KB, 10_000 * KB]


def sweep(options, directory):
    """Our engine alone: what bodies cost by their size."""
    variants = Variants(options.workloads)
    ours = tools.program(options, "compare")
    limits = "SecRequestBodyLimit 134217728\nSecRequestBodyNoFilesLimit 134217728\n"
    result = {"build": tools.BUILDS[options.build], "rows": []}
    for level in (1, 4):
        rules = write_rules(directory / f"sweep-{level}.conf", options.crs, directory / "unused", level, limits)
        # What a cache would answer is left out: these are upper bounds.
        driver = Driver([ours, rules, "--no-verdict-cache"], options.cpus[0])
        try:
            for kind, sizes in (("form", BODIES), ("file", FILES)):
                for size in sizes:
                    files = [_sized(variants, kind, size, seed, directory) for seed in range(4)]
                    first, _ = driver.run(4, files)
                    count = max(4, min(400, 100_000_000 // first))
                    taken = [driver.run(count, files) for _ in range(max(3, options.passes // 3))]
                    result["rows"].append({"kind": kind, "bytes": size, "level": level,
                                           "ns": [t for t, _ in taken], "blocked": taken[0][1] / count})
        finally:
            driver.close()
    return result


def _sized(variants, kind, size, seed, directory):
    """A request with a form of one long text of prose, or with a file of random bytes."""
    rng = random.Random(f"{kind} {size} {seed}")
    workload = "W2" if kind == "form" else "W4"
    head, body = variants.vary(variants.originals[workload][0].read_bytes(), rng).split(b"\r\n\r\n", 1)
    if kind == "form":
        body = b"title=note&text=" + variants.prose(size, rng).replace("?", "%3F").replace(" ", "+").encode()
    else:
        start = body.index(b"\r\n\r\n", body.index(b"filename=")) + 4
        end = body.rindex(b"\r\n--")
        body = body[:start] + b"\x89PNG\r\n\x1a\n" + rng.randbytes(size - 8) + body[end:]
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    lines.append(b"Content-Length: %d" % len(body))
    path = directory / f"{kind}-{size}-{seed}.http"
    path.write_bytes(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return str(path)
