"""Whole proxies on loopback: one process under load on one CPU, load and backend on another."""
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import engines
import tools
from variants import Variants

CONNECTIONS = 32
# Seconds up to which a load is repeated, each four times as long, while nothing has been answered.
PATIENCE = 16
# So many variants go round; requests.lua makes their cookies differ beyond that.
VARIANTS = {"W4": 64}
MOST_VARIANTS = 1024

NGINX = """
{user}worker_processes 1;
daemon off;
pid {name}.pid;
error_log {name}.err crit;
{load}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {name}-body;
    proxy_temp_path {name}-proxy;
    fastcgi_temp_path {name}-fastcgi;
    uwsgi_temp_path {name}-uwsgi;
    scgi_temp_path {name}-scgi;
    client_max_body_size 16m;
    # Bodies stay in memory.
    client_body_buffer_size 256k;
    large_client_header_buffers 4 16k;
    {http}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""
BACKEND = """location / { default_type text/plain; return 200 "0123456789012345678901234567890123456789\\n"; }"""
UPSTREAM = """upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}"""
PASS = """location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }"""


class Server:
    """A server of our own, which ends with this program however that ends."""

    def __init__(self, command, cpu, directory, port):
        self.port = port
        self.log = open(directory / f"{Path(command[0]).name}-{port}.out", "w+b")
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *command], cwd=directory, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True, preexec_fn=_end_with)

    def wait(self):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                if status(self.port, b"GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: a\r\n"
                                     b"Accept: */*\r\nConnection: close\r\n\r\n") in (200, 403):
                    return
            except OSError:
                pass
            time.sleep(0.1)
        self.log.seek(0)
        tools.fail(f"a server did not start: {self.log.read()[-2000:].decode(errors='replace')}")

    def processes(self):
        """It and its children."""
        found, new = [], [self.process.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                new += map(int, children.read_text().split())
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.processes():
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        kilobytes = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kilobytes += int(line.split()[1])
        return kilobytes

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        # Whatever is left of its session.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


def compare(options, directory):
    """Passes in which every proxy gets every workload in turn."""
    tools.require(["nginx", "libnginx-mod-http-modsecurity", "wrk", "gcc", "g++", "make", "cmake"])
    portcullis = str(options.binary.resolve()) if options.binary else tools.program(options, "portcullis")
    variants = Variants(options.workloads)
    passes, seconds = (1, 1) if options.quick else (max(1, options.passes // 3), 4)
    requests = {}
    for workload in engines.WORKLOADS:
        files = variants.write(workload, VARIANTS.get(workload, MOST_VARIANTS), "proxies", directory / "load")
        requests[workload] = directory / f"{workload}.list"
        requests[workload].write_text("\n".join(files) + "\n")

    servers = {}
    result = {"passes": passes, "seconds": seconds, "build": tools.BUILDS["given" if options.binary else options.build],
              "connections": CONNECTIONS, "nginx": tools.nginx_version(), "memory_kb": {}, "rows": {}}
    try:
        backend = start(servers, "backend", options, directory)
        for name in ("nginx", "modsecurity", "off", "crs"):
            start(servers, name, options, directory, backend, portcullis)
            result["memory_kb"][name] = [servers[name].memory()]
        measured = {name: server for name, server in servers.items() if name != "backend"}
        for workload, files in requests.items():
            for name, server in measured.items():
                # Nothing is worth timing that does not answer as it must.
                wanted = 403 if workload == "W5" and name in ("modsecurity", "crs") else 200
                got = status(server.port, Path(files.read_text().split("\n")[0]).read_bytes())
                if got != wanted:
                    tools.fail(f"{name} answers {workload} with {got}, not {wanted}")
                load(server, files, 1, options.cpus[1])
        for number in range(passes):
            tools.say(f"proxies: pass {number + 1} of {passes}")
            for workload, files in requests.items():
                row = result["rows"].setdefault(workload, {})
                for name, server in measured.items():
                    row.setdefault(name, []).append(load(server, files, seconds, options.cpus[1]))
                    for log in directory.glob("proxies-*.log"):
                        os.truncate(log, 0)
        for name, server in measured.items():
            result["memory_kb"][name].append(server.memory())
    finally:
        for server in servers.values():
            server.close()
    return result


def start(servers, name, options, directory, backend=None, portcullis=None):
    port = free_port()
    audit = directory / f"proxies-{name}.log"
    rules = engines.write_rules(directory / f"proxies-{name}.conf", options.crs, audit)
    cpu = options.cpus[1] if name == "backend" else options.cpus[0]
    if name in ("off", "crs"):
        command = [portcullis, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}",
                   "--upstream", f"http://127.0.0.1:{backend.port}", "--workers", "1", "--rules", rules,
                   "--audit-log", str(audit), *(["--mode", "Off"] if name == "off" else [])]
    else:
        load, http, server = "", "", BACKEND
        if name != "backend":
            http, server = UPSTREAM.format(backend=backend.port), PASS
        if name == "modsecurity":
            load = f"load_module {tools.PACKAGES['libnginx-mod-http-modsecurity']};"
            http += f" modsecurity on; modsecurity_rules_file {rules};"
        # Started as root, its worker would become somebody who may not read what lies here.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config = directory / f"nginx-{name}.conf"
        config.write_text(NGINX.format(user=user, name=f"nginx-{name}", load=load, http=http, server=server, port=port))
        command = [tools.find("nginx"), "-e", f"nginx-{name}.err", "-p", str(directory), "-c", str(config)]
    servers[name] = Server(command, cpu, directory, port)
    servers[name].wait()
    return servers[name]


def load(server, files, seconds, cpu):
    """One run of wrk; CPU time of the server for each request answered."""
    before = server.cpu_seconds()
    said = tools.run(["taskset", "-c", str(cpu), tools.find("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
                      "--timeout", "10s", "-s", str(tools.HERE / "requests.lua"), f"http://127.0.0.1:{server.port}/"],
                     env={**os.environ, "REQUESTS": str(files)})
    spent = server.cpu_seconds() - before
    told = json.loads(next(line for line in said.splitlines() if line.startswith("@"))[1:])
    # The slowest engine may need more than a second before it has answered the first of so many connections.
    if not told["requests"] and not told["errors"] and seconds < PATIENCE:
        return load(server, files, seconds * 4, cpu)
    if not told["requests"] or told["errors"]:
        tools.fail(f"{told['errors']} errors in {told['requests']} requests")
    return {"cpu_us": spent * 1e6 / told["requests"], "rps": told["requests"] / told["seconds"],
            "p50_ms": told["p50_us"] / 1000, "p99_ms": told["p99_us"] / 1000,
            "refused": told["refused"] / told["requests"], "requests": told["requests"],
            "cpu_share": spent / told["seconds"]}


def status(port, request):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(5)
        connection.sendall(request)
        answer = connection.recv(64)
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _end_with():
    """Asks the kernel to end this process when the one that started it ends: 1 is PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
