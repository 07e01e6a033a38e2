"""What a comparison needs: packages, libmodsecurity from PyPI, and our own builds."""
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

# What has to be there for each Debian package: a program, or a file.
PACKAGES = {
    "gcc": "gcc",
    "g++": "g++",
    "make": "make",
    "cmake": "cmake",
    "python3-pip": "/usr/lib/python3/dist-packages/pip",
    "libmodsecurity-dev": "/usr/include/modsecurity/transaction.h",
    "nginx": "nginx",
    "libnginx-mod-http-modsecurity": "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so",
    "wrk": "wrk",
    "valgrind": "valgrind",
}
# Debian's nginx would start at once, on all addresses. A policy that forbids it stands while packages are installed,
# unless the system has one of its own.
INSTALL = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\\nexit 101\\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
"""
WHEEL = "libmodsecurity==3.0.15.post2"


def fail(message):
    sys.exit(f"compare: {message}")


def say(message):
    print(f"compare: {message}", file=sys.stderr, flush=True)


def run(command, **options):
    """Runs a command to its end and returns its standard output; what it complains of is shown if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **options)
    if done.returncode:
        fail(f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def find(program):
    # Debian keeps servers where a user's path does not lead.
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def require(packages):
    """Installs those of these packages that are missing, or says what to install."""
    missing = [package for package in packages if not _has(package)]
    if not missing:
        return
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    allowed = not rights or (find("sudo") and subprocess.run([*rights, "true"], capture_output=True).returncode == 0)
    if find("apt-get") and allowed:
        say(f"installing {' '.join(missing)}")
        subprocess.run([*rights, "sh", "-c", INSTALL, "install", *missing], stdin=subprocess.DEVNULL,
                       stdout=sys.stderr, check=False)
        missing = [package for package in missing if not _has(package)]
    if missing:
        fail(f"this needs a Debian system with: apt-get install {' '.join(missing)}")


def _has(package):
    sign = PACKAGES[package]
    return Path(sign).exists() if "/" in sign else find(sign) is not None


def target_directory():
    told = run(["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"], cwd=ROOT)
    return Path(json.loads(told)["target_directory"])


def build(profile, *what):
    """Builds something of ours and returns the program's path."""
    say(f"building {what[-1]} ({profile}), which may take minutes")
    command = ["cargo", "build", "--locked", "--profile", profile, "--message-format=json", *what]
    program = None
    for line in run(command, cwd=ROOT).splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            program = message["executable"]
    return program


# Builds, and what the page says of them. `dist` is what is released.
BUILDS = {
    "dist": "built by `scripts/dist`",
    "plain": "built with `--profile dist`, without a training",
    "release": "built with `--profile release`",
    "given": "as it was given",
}


def program(options, name):
    """Builds `portcullis`, or a benchmark, as it was asked for, and returns its path."""
    if options.build == "release":
        return build("release", *(["--bin"] if name == "portcullis" else ["--no-default-features", "--bench"]), name)
    say(f"building {name} ({BUILDS[options.build]}), which may take minutes")
    command = [str(ROOT / "scripts/dist"), "--program", name, "--crs", str(options.crs),
               *(["--plain"] if options.build == "plain" else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        fail("it was not built, see above; --build plain needs no training")
    return done.stdout.strip()


def rivals(directory):
    """Builds the driver of libmodsecurity twice. For each: its command and what to add to its environment."""
    require(["gcc", "libmodsecurity-dev", *([] if importlib.util.find_spec("pip") else ["python3-pip"])])
    directory.mkdir(parents=True, exist_ok=True)
    source = str(HERE / "rival.c")
    debian = directory / "rival-debian"
    run(["gcc", "-O2", source, "-o", str(debian), "-lmodsecurity"])

    wheel = directory / "wheel"
    found = list(wheel.glob("libmodsecurity.libs/libmodsecurity-*.so.3.0.15"))
    if not found:
        say(f"getting {WHEEL} from PyPI")
        # Only the library inside matters, not which Python asks for it.
        run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
             "--python-version=3.11", "--implementation=cp", "--abi=cp311",
             f"--platform=manylinux_2_28_{platform.machine()}", "--dest", str(directory), WHEEL])
        with zipfile.ZipFile(next(directory.glob("libmodsecurity-*.whl"))) as archive:
            archive.extractall(wheel)
        found = list(wheel.glob("libmodsecurity.libs/libmodsecurity-*.so.3.0.15"))
    library = found[0]
    newest = directory / "rival-newest"
    # Libraries that come with it are named by the wheel's own paths, so the linker does not find all of theirs.
    run(["gcc", "-O2", source, "-o", str(newest), str(library), f"-Wl,-rpath,{library.parent}",
         f"-Wl,-rpath-link,{library.parent}", "-Wl,--allow-shlib-undefined"])
    return {
        "newest": ([str(newest)], {"LD_PRELOAD": jit_pcre2()}),
        "debian": ([str(debian)], {}),
    }


def jit_pcre2():
    """Debian's PCRE2. The wheel brings one too; preloaded, Debian's answers in its place, which compiles to code."""
    for line in run([find("ldconfig"), "-p"]).splitlines():
        if "libpcre2-8.so.0 " in line:
            return line.split("=> ")[1]
    fail("there is no libpcre2-8.so.0 (package libpcre2-8-0)")


def nginx_version():
    done = subprocess.run([find("nginx"), "-v"], capture_output=True, text=True)
    return done.stderr.strip().rsplit("/", 1)[-1]


def machine(crs):
    """What the figures depend on."""
    version = re.search(r"ver\.([0-9.]+[0-9])", (crs / "crs-setup.conf.example").read_text())
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    system = platform.system()
    for line in Path("/etc/os-release").read_text().splitlines() if Path("/etc/os-release").exists() else []:
        if line.startswith("PRETTY_NAME="):
            system = line.split("=", 1)[1].strip('"')
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"cpu": cpu, "cpus": os.cpu_count(), "system": system, "kernel": platform.release().split("-")[0],
            "crs": version[1] if version else "of no known version", "rust": run(["rustc", "--version"]).split()[1], "commit": commit.stdout.strip()}
