"""Requests that differ from one to the next, as in real traffic.

A workload is a handful of raw requests. A variant of one has other values in its cookies, arguments, JSON members,
form fields and files, of the same shape: a word stays a word, seven digits stay seven digits, prose stays prose. What
is none of these, such as an attack, stays as it is. Everything follows from a seed.
"""
import json
import random
import re
from pathlib import Path
from urllib.parse import quote_plus, unquote_plus

TOKEN = re.compile(r"[0-9a-f]{16,}|[A-Za-z]+|[0-9]+")
# Values that may be varied: words, numbers, prose. Anything else may be an attack.
HARMLESS = re.compile(r"[\w .,;:?!@+/-]*\Z")

# Words of prose that are SQL's too: in some orders CRS takes them for it ("case when two then", "as good from").
SQL = {"and", "as", "by", "case"}


class Variants:
    """The variants of a directory's workloads."""

    def __init__(self, directory):
        self.originals = {}
        for path in sorted(Path(directory).glob("W[0-9]-*.http")):
            self.originals.setdefault(path.name.split("-")[0], []).append(path)
        if not self.originals:
            raise FileNotFoundError(f"no W1-0.http and its like in {directory}")
        self.words = self._vocabulary()

    def write(self, workload, count, seed, directory):
        """Writes `count` variants into `directory` and returns their paths, in order."""
        rng = random.Random(f"{workload} {seed}")
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        originals = [path.read_bytes() for path in self.originals[workload]]
        paths = []
        for n in range(count):
            path = directory / f"{workload}-{n}.http"
            path.write_bytes(self.vary(originals[n % len(originals)], rng, attack=workload == "W5"))
            paths.append(str(path))
        return paths

    def vary(self, raw, rng, attack=False):
        head, body = raw.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, protocol = first.split(" ")
        path, mark, query = target.partition("?")
        # In an attack, prose may be part of it: only single words are varied.
        harmless = re.compile(r"\w*\Z") if attack else HARMLESS
        target = path + mark + self._pairs(query, rng, harmless)

        headers = [line.split(": ", 1) for line in lines]
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        if kind.startswith("application/x-www-form-urlencoded"):
            body = self._pairs(body.decode("latin-1"), rng, harmless).encode("latin-1")
        elif kind.startswith("application/json"):
            body = json.dumps(self._json(json.loads(body), rng)).encode()
        elif kind.startswith("multipart/form-data"):
            old = kind.split("boundary=")[1]
            # Browsers end it with random characters.
            new = old[:-16] + "".join(rng.choices("0123456789abcdef", k=len(old[-16:])))
            body = self._parts(body, old.encode(), new.encode(), rng)
        for header in headers:
            name = header[0].lower()
            if name == "cookie":
                cookies = (cookie.partition("=") for cookie in header[1].split("; "))
                header[1] = "; ".join(key + mark + self._text(value, rng) for key, mark, value in cookies)
            elif name == "content-length":
                header[1] = str(len(body))
            elif name == "content-type" and "boundary=" in kind:
                header[1] = kind.replace(old, new)
        head = "\r\n".join([f"{method} {target} {protocol}"] + [": ".join(header) for header in headers])
        return head.encode("latin-1") + b"\r\n\r\n" + body

    def prose(self, length, rng):
        """Prose of about this length."""
        out = []
        left = length
        while left > 0:
            words = [rng.choice(self.every_word) for _ in range(rng.randint(4, 12))]
            sentence = " ".join(words).capitalize() + rng.choice([". ", ". ", ". ", "? ", "! "])
            out.append(sentence)
            left -= len(sentence)
        return "".join(out)[:length].strip()

    def _pairs(self, query, rng, harmless):
        pairs = []
        for pair in query.split("&") if query else []:
            name, mark, value = pair.partition("=")
            plain = unquote_plus(value, "latin-1")
            if harmless.match(plain):
                value = quote_plus(self._text(plain, rng), encoding="latin-1")
            pairs.append(name + mark + value)
        return "&".join(pairs)

    def _json(self, node, rng):
        if isinstance(node, dict):
            return {key: self._json(value, rng) for key, value in node.items()}
        if isinstance(node, list):
            return [self._json(value, rng) for value in node]
        if isinstance(node, str):
            return self._text(node, rng)
        if isinstance(node, float):
            return round(node * rng.uniform(0.5, 1.5), 2)
        if isinstance(node, int) and not isinstance(node, bool):
            return int(self._text(str(node), rng))
        return node

    def _parts(self, body, old, new, rng):
        parts = []
        for part in body.split(b"--" + old):
            head, blank, content = part.partition(b"\r\n\r\n")
            if b"filename=" in head:
                # The first bytes are the format's signature; the line end belongs to the boundary.
                content = content[:8] + rng.randbytes(len(content) - 10) + content[-2:]
            elif blank:
                content = self._text(content[:-2].decode("latin-1"), rng).encode("latin-1") + content[-2:]
            parts.append(head + blank + content)
        return (b"--" + new).join(parts)

    def _text(self, text, rng):
        # An address's domain stays.
        text, at, rest = text.partition("@")
        return TOKEN.sub(lambda token: self._token(token[0], rng), text) + at + rest

    def _token(self, token, rng):
        if re.fullmatch("[0-9a-f]{16,}", token) and not token.isdigit():
            return "".join(rng.choices("0123456789abcdef", k=len(token)))
        if token.isdigit():
            first = rng.choice("123456789") if token[0] != "0" else "0"
            return first + "".join(rng.choices("0123456789", k=len(token) - 1))
        word = rng.choice(self.words.get(len(token)) or [token.lower()])
        if token.isupper() and len(token) > 1:
            return word.upper()
        return word.capitalize() if token[0].isupper() else word

    def _vocabulary(self):
        """The words of the workloads' prose, which their author has chosen so that CRS objects to none."""
        found = set()
        for workload in ("W2", "W6"):
            for path in self.originals.get(workload, []):
                text = unquote_plus(path.read_bytes().decode("latin-1"))
                # From the target or the form; header lines hold no prose.
                for line in (text.split("\n")[0], text.split("\n")[-1]):
                    for value in re.findall(r"=([^=&]{40,})", line):
                        # The last word may be cut.
                        found.update(re.findall(r"(?<![\w@.])[a-z]{2,12}(?=[ .,;:?!])", value))
        words = {}
        for word in sorted(found - SQL):
            words.setdefault(len(word), []).append(word)
        self.every_word = sorted(found - SQL)
        return words
