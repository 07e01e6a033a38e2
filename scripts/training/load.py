"""The load on loopback: an origin that answers from memory, and clients that keep their connections."""
import gzip
import multiprocessing
import random
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time

from samples import Samples

# Python sends about so many requests a second; no proxy waits for them.
CONNECTIONS = 8
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.I)
KEPT = 400


class Origin:
    """The application: a process of its own, which the load does not slow down."""

    def __init__(self):
        here, there = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=_serve, args=(there,), daemon=True)
        self.process.start()
        if not here.poll(10):
            raise OSError("the origin did not start")
        self.port = here.recv()

    def close(self):
        self.process.terminate()
        self.process.join()


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def _serve(pipe):
    with _Threads(("127.0.0.1", 0), _Application) as server:
        pipe.send(server.server_address[1])
        server.serve_forever()


class _Application(socketserver.BaseRequestHandler):
    """Answers by the request's kind: pages of some KB, documents, images, and short words."""

    answers = None

    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _Application.answers is None:
            _Application.answers = _answers()

    def handle(self):
        source = self.request.makefile("rb")
        while True:
            line = source.readline()
            if not line:
                return
            length, packed, chunked = 0, False, False
            while (header := source.readline()) not in (b"\r\n", b""):
                name, _, value = header.lower().partition(b":")
                length = int(value) if name == b"content-length" else length
                packed |= name == b"accept-encoding" and b"gzip" in value
                chunked |= name == b"transfer-encoding"
            if chunked:
                while size := int(source.readline(), 16):
                    source.read(size + 2)
                source.readline()
            source.read(length)
            kind = ("asset" if b" /static" in line or b" /media" in line else "document" if b" /api" in line
                    else "packed" if packed and b"help" in line else "page" if b"GET" in line else "word")
            self.request.sendall(random.choice(self.answers[kind]))


def _answers():
    samples = Samples("answers")

    def answer(kind, body, more="", status="200 OK"):
        return (f"HTTP/1.1 {status}\r\nServer: application\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                f"Cache-Control: no-cache\r\nSet-Cookie: seen={samples._hex(16)}; Path=/; HttpOnly\r\n{more}\r\n").encode() + body

    pages = [page(samples, length) for length in (4, 12, 40, 120)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (pages[2][:1000], pages[2][1000:])) + b"0\r\n\r\n"
    return {
        "page": [answer("text/html; charset=utf-8", body) for body in pages]
                + [answer("text/html", pages[0], status="404 Not Found"),
                   b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked],
        "packed": [answer("text/html", gzip.compress(body), "Content-Encoding: gzip\r\n") for body in pages],
        "document": [answer("application/json", samples.json().split(b"\r\n\r\n", 1)[1]) for _ in range(6)],
        "asset": [answer("image/webp", samples.random.randbytes(size)) for size in (300, 9_000, 40_000)]
                 + [answer("application/javascript", samples._prose(6_000).encode()),
                    b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'],
        "word": [answer("text/plain", b"Thank you.\n"), answer("text/html", b"", "Location: /\r\n", "303 See Other")],
    }


def page(samples, length):
    """HTML with so many links."""
    text = "".join(f'<li class="{samples._word()}"><a href="{samples._path(["/a/{0}"])}">{samples._prose(60)}</a></li>\n'
                   for _ in range(length))
    return f"<!doctype html><html><head><title>{samples._prose(20)}</title></head><body><ul>{text}</ul></body></html>".encode()


def send(port, seconds, seed, tls=False):
    """Requests for so long. Returns how many were answered, by status."""
    until = time.monotonic() + seconds
    counts = {}
    failures = []

    def client(number):
        samples = Samples(f"{seed} {number}")
        try:
            while time.monotonic() < until:
                # A connection carries so many requests; then the client comes again.
                _converse(port, samples.take(KEPT), until, tls, counts)
        except (OSError, ValueError) as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise OSError(f"a client failed: {failures[0]!r}")
    return counts


def send_http2(port, count, seed, directory):
    """The same over HTTP/2, many streams at once on a connection. Python has no client for it, so curl sends them."""
    samples = Samples(f"{seed} http2")
    lines = []
    for request in samples.take(count):
        head, body = request.split(b"\r\n\r\n", 1)
        first, *headers = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        names = ("host:", "content-length:")
        lines += [f'url = "https://127.0.0.1:{port}{_quoted(target)}"', f"request = {method}", "http2", "insecure", "silent",
                  "globoff", "path-as-is", "max-time = 20", "output = /dev/null",
                  *(f'header = "{_quoted(header)}"' for header in headers if not header.lower().startswith(names))]
        if body:
            file = directory / f"body-{len(lines)}"
            file.write_bytes(body)
            lines.append(f'data-binary = "@{file}"')
        lines.append("next")
    config = directory / "curl.config"
    config.write_bytes("\n".join(lines[:-1]).encode("latin-1"))
    subprocess.run(["curl", "--parallel", "--parallel-max", "20", "--parallel-immediate", "--config", str(config)],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120, check=True)


def _quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _converse(port, requests, until, tls, counts):
    connection = _connect(port, tls)
    for request in requests:
        if time.monotonic() >= until:
            break
        try:
            connection.sendall(request)
            status, kept = _answer(connection, head_only=request.startswith(b"HEAD"))
        except (ConnectionError, ssl.SSLEOFError):
            # Refused, and the connection closed before all of the request was taken.
            status, kept = 0, False
        counts[status] = counts.get(status, 0) + 1
        if not kept:
            connection.close()
            connection = _connect(port, tls)
    connection.close()


def _connect(port, tls):
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection, server_hostname="training.example")
    return connection


def _answer(connection, head_only):
    """Reads an answer whole; its status, and whether the connection goes on."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += _more(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    head += b"\r\n"
    status = int(head[9:12])
    length = LENGTH.search(head)
    if status not in (204, 304) and not head_only:
        if CHUNKED.search(head):
            while not body.endswith(b"0\r\n\r\n"):
                body += _more(connection)
        else:
            left = int(length[1]) - len(body) if length else 0
            while left > 0:
                left -= len(_more(connection))
    return status, b"\r\nconnection: close" not in head.lower()


def _more(connection):
    got = connection.recv(65_536)
    if not got:
        raise ConnectionError("closed within an answer")
    return got
