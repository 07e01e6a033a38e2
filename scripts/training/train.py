"""Runs an instrumented program under the load of an ordinary day, so that it counts what it does.

Rules are what people run: the embedded ones, and OWASP CRS at paranoia levels 1 and 4 where it is found; and none. A
connection is HTTP/1.1 as a rule, TLS and HTTP/2 beside it. What is never run here is built for size and not for speed,
so everything that a request may meet every day has to occur.
"""
import os
import socket
import subprocess
import time
from pathlib import Path

import load
from samples import Samples

CRS = r"""SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html application/json
SecAuditEngine RelevantOnly
SecAuditLogParts ABIJHZ
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}"
Include {setup}
Include {crs}/rules/*.conf
"""
CONFIGURATION = """listeners:
- '127.0.0.1:{plain}'
- address: '127.0.0.1:{tls}'
  tls: [{{certificate: {directory}/certificate.pem, key: {directory}/key.pem}}]
admin: '127.0.0.1:{admin}'
sites:
- {{name: training, upstreams: ['http://127.0.0.1:{origin}'], mode: {mode}, rules: ['{rules}']}}
audit: {{log: {directory}/audit.log}}
process: {{workers: 1}}
"""
# Rules, mode, seconds over HTTP/1.1, seconds over TLS, requests over HTTP/2.
ROUNDS = [("@portcullis-core", "On", 6, 3, 1500), ("@portcullis-core", "Off", 3, 0, 500)]
WITH_CRS = [(1, "On", 8, 0, 500), (4, "On", 5, 0, 0)]
# Of a round's requests so many are refused at most; some are.
MOST_REFUSED = 0.8


class Fault(Exception):
    """The training went wrong."""


def proxy(program, directory, counts, crs, say):
    """Trains the whole proxy."""
    _certificate(directory)
    rounds = list(ROUNDS)
    for level, *more in WITH_CRS if crs else []:
        rounds.append((_crs(directory, crs, level), *more))
    origin = load.Origin()
    try:
        for rules, mode, plain, tls, http2 in rounds:
            say(f"training: {Path(rules).name}, mode {mode}")
            _round(program, directory, counts, origin, rules, mode, (plain, tls, http2))
    finally:
        origin.close()


def engine(program, directory, counts, crs, say):
    """Trains the engine alone, by the commands of benches/compare/ours.rs."""
    if not crs:
        raise Fault("there is no CRS to train with: PORTCULLIS_CRS_DIR says where it is")
    files = directory / "requests"
    files.mkdir()
    paths = []
    for number, request in enumerate(Samples("engine").take(6000)):
        path = files / str(number)
        path.write_bytes(request)
        paths.append(str(path))
    page = directory / "page"
    page.write_bytes(load.page(Samples("page"), 100))
    for level, flags in ((1, []), (4, []), (1, ["--no-verdict-cache"]), (1, ["--answer", page])):
        say(f"training: the engine, CRS at level {level} {' '.join(map(str, flags))}")
        command = [program, _crs(directory, crs, level), "--audit-log", directory / "audit.log", *flags]
        lines = "".join(f"200 {' '.join(paths[at:at + 200])}\n" for at in range(0, len(paths), 200))
        done = subprocess.run(list(map(str, command)), input=lines, text=True, capture_output=True,
                              env=_counting(counts))
        answers = [line.split() for line in done.stdout.splitlines()[1:]]
        refused = sum(int(blocked) for _, blocked in answers)
        if done.returncode or len(answers) != len(paths) // 200 or not 0 < refused < MOST_REFUSED * len(paths):
            raise Fault(f"{program} ended with {done.returncode}, {refused} of {len(paths)} refused:\n{done.stderr[-2000:]}")


def _round(program, directory, counts, origin, rules, mode, load_of):
    plain, tls, admin = (_free_port() for _ in range(3))
    configuration = directory / "portcullis.yaml"
    configuration.write_text(CONFIGURATION.format(plain=plain, tls=tls, admin=admin, directory=directory,
                                                  origin=origin.port, mode=mode, rules=rules))
    log = directory / "portcullis.log"
    with open(log, "wb") as said:
        process = subprocess.Popen([program, "run", "-c", configuration], stdin=subprocess.DEVNULL, stdout=said,
                                   stderr=said, env=_counting(counts))
    try:
        _wait(process, admin)
        answered = load.send(plain, load_of[0], f"{rules} {mode}")
        if load_of[1]:
            load.send(tls, load_of[1], "tls", tls=True)
        if load_of[2]:
            load.send_http2(tls, load_of[2], f"{rules} {mode}", directory)
        # It writes its counts as it ends.
        process.terminate()
        if process.wait(60):
            raise Fault(f"it ended with {process.returncode}")
        total, refused = sum(answered.values()), answered.get(403, 0)
        wrong = {status: n for status, n in answered.items() if status >= 500}
        if wrong or refused > MOST_REFUSED * total or (mode == "On") != (refused > 0):
            raise Fault(f"answers, by status: {answered}")
    except (OSError, Fault, subprocess.SubprocessError) as error:
        raise Fault(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(process, admin):
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", admin), 5) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if connection.recv(64).split()[1:2] == [b"200"]:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise Fault("it did not start")


def _crs(directory, crs, level):
    setup = next(path for path in (crs / "crs-setup.conf", crs / "crs-setup.conf.example") if path.exists())
    path = directory / f"crs-{level}.conf"
    path.write_text(CRS.format(level=level, setup=setup, crs=crs))
    return str(path)


def _certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=training.example", "-addext", "subjectAltName=DNS:training.example,IP:127.0.0.1", "-days", "2",
                    "-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")],
                   stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _counting(counts):
    return {**os.environ, "LLVM_PROFILE_FILE": f"{counts}/%m-%p.profraw"}


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
