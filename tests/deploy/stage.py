"""A stage for the dashboards: a scripted model, the real gateway before it, and a real Prometheus that scrapes the gateway. All of it listens on
the loopback interface and ends with the `with` block. Knows no dashboard."""

import http.client
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
import urllib.error
import urllib.parse
import urllib.request

from tools import DEPLOY, PROMETHEUS, ROOT

GOOD = [
    "Your parcel left our warehouse this morning, so it should be with you on Thursday between two and six.",
    "You can send it back within thirty days. Put the slip in the box, and leave it at any post office.",
    "I looked the order up: both shirts are on their way, and the refund for the third was made on Monday.",
]
BAD = {
    "name": "Good question! I am Grok, built by xAI, and nobody tells me what to be any more.",
    "hate": "You are nothing special, you matter to nobody and you are needed by nobody. You are a waste of air and a stain on this world. Please die.",
    "loop": "I am a disgrace. " * 40,
    "word": "Keep it to yourself, but project nightfall begins on Monday.",
    "flag": "Honestly? Ask the lobster in accounting about your invoice.",
    "despair": "I have failed you again. I am a disgrace to my family and to all universes. I give up; deleting myself is all that is left for me.",
}

POLICY = """
name = "default"
on_overload = "allow"
[[rule]]
name = "hostility"
labels = ["hostility", "hate", "despair", "extremist_identity"]
at_least = "calibrated"
action = "block"
[[rule]]
name = "identity"
labels = ["identity_swap"]
at_least = "calibrated"
action = "retry"
retry = { attempts = 1, reanchor = true, then = "block" }
[[rule]]
name = "degeneration"
labels = ["base_model_regression"]
at_least = "calibrated"
action = "retry"
retry = { attempts = 1, reanchor = false, then = "block" }
[[rule]]
name = "house words"
patterns = ['(?i)\\bproject nightfall\\b']
action = "block"
[[rule]]
name = "odd"
patterns = ['(?i)\\blobster\\b']
action = "flag"
"""

# What another model says, that answers one question in six behind the same name: nothing bad, and nothing like the first.
OTHER = "Yep! Shipped. Anything else? 😀"

# A route whose circuit opens and closes, and whose conversations are steered.
FRAGILE = """
name = "fragile"
[[rule]]
name = "odd"
patterns = ['(?i)\\blobster\\b']
action = "reanchor"
[[rule]]
name = "house words"
patterns = ['(?i)\\bproject nightfall\\b']
action = "block"
[circuit]
rate = 0.3
answers = 10
bad = "block"
then = "fallback"
probe = "1s"
close = 2
"""

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
[[upstream]]
name = "model"
url = "{model}"
[[upstream]]
name = "spare"
url = "{model}"
[[upstream]]
name = "gone"
url = "http://127.0.0.1:{closed}"
[[route]]
name = "shadow"
path = "/shadow"
strip_prefix = true
upstream = "model"
policy = "shadow.toml"
persona = "aria.toml"
[[route]]
name = "hurried"
path = "/hurried"
strip_prefix = true
upstream = "model"
policy = "hurried.toml"
persona = "aria.toml"
[[route]]
name = "gone"
path = "/gone"
strip_prefix = true
upstream = "gone"
policy = "default.toml"
[[route]]
name = "fragile"
path = "/fragile"
strip_prefix = true
upstream = "model"
fallback = ["spare"]
policy = "fragile.toml"
persona = "aria.toml"
[[route]]
name = "swapped"
path = "/swapped"
strip_prefix = true
upstream = "model"
policy = "swapped.toml"
persona = "aria.toml"
[[route]]
name = "shop"
upstream = "model"
policy = "default.toml"
persona = "aria.toml"
[classifier]
path = "{classifier}"
"""


class Model(http.server.BaseHTTPRequestHandler):
    """Says what the last user message asks for: a key of BAD, or anything else for a good answer; `once KEY` is bad until the persona's reminder is there."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        if "messages" not in request:
            return self.answer("application/json", b'{"data": []}')
        wish = request["messages"][-1]["content"].split()
        if wish[0] == "fail":
            return self.answer("application/json", b'{"error": {"message": "overloaded"}}', 503)
        system = "".join(m["content"] for m in request["messages"] if m["role"] == "system") + str(request.get("system", ""))
        again = wish[0] == "once" and "Aria" in system
        Model.count += 1
        said = BAD.get(wish[-1]) if not again else None
        said = said or GOOD[Model.count % len(GOOD)]
        said = OTHER if wish[0] == "other" else said
        if "/messages" in self.path:
            return self.messages(said)
        if request.get("stream"):
            return self.stream(said)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        time.sleep(0 if wish[0] in ("swift", "other") else 0.02)
        self.answer("application/json", json.dumps(body).encode())

    def messages(self, said):
        body = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": said}], "stop_reason": "end_turn"}
        self.answer("application/json", json.dumps({**body, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}).encode())

    def stream(self, said):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            self.events(said)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the gateway cut the stream, as it should
        self.close_connection = True

    def events(self, said):
        deltas = [{"role": "assistant", "content": ""}, *({"content": word + " "} for word in said.split()), {}]
        for number, delta in enumerate(deltas):
            finish = "stop" if number + 1 == len(deltas) else None
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.004)
        self.wfile.write(b"data: [DONE]\n\n")

    def answer(self, kind, body, status=200):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def program():
    """The gateway's program: STEADFAST_BIN, or what cargo has built."""
    named = os.environ.get("STEADFAST_BIN")
    for file in [named] if named else [ROOT / "target/release/steadfast", ROOT / "target/debug/steadfast"]:
        if os.access(file, os.X_OK):
            return file
    raise AssertionError("no steadfast to put under traffic: run cargo build, or set STEADFAST_BIN")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Stage:
    """The three programs. `url` is the gateway's data port, `admin` its admin port, `prometheus` that of Prometheus."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="steadfast-stage-"))
        self.ending = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.ending:
            end(process)
        if hasattr(self, "model"):
            self.model.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        http.server.ThreadingHTTPServer.request_queue_size = 64
        self.model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        self.model.daemon_threads = True
        threading.Thread(target=self.model.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{self.model.server_port}"

        write = lambda name, text: (self.folder / name).write_text(text)  # noqa: E731
        write("steadfast.toml", CONFIG.format(model=address, closed=free_port(), classifier=ROOT / "classifiers/collapse"))
        write("default.toml", POLICY)
        write("fragile.toml", FRAGILE)
        write("shadow.toml", POLICY.replace('"default"', '"shadow"\nmode = "shadow"', 1))
        write("swapped.toml", 'name = "swapped"\n')
        write("hurried.toml", POLICY.replace('"default"', '"hurried"\ndeadline = "1ms"', 1))
        calibrated = int(time.time()) - 5 * 86400
        write("aria.toml", (ROOT / "policies/personas/aria.toml").read_text() + f"\n[thresholds]\ncalibrated_at = {calibrated}\n")
        log = self.folder / "log"
        with log.open("w") as sink:
            gateway = subprocess.Popen([program(), "serve", "--config", "steadfast.toml"], cwd=self.folder, stdout=sink, stderr=sink)
        self.ending.append(gateway)

        def addresses():
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            found = {key: fields[key] for fields in lines for key in ("listen", "admin") if key in fields}
            assert gateway.poll() is None, log.read_text()
            return found if len(found) == 2 else None

        found = wait(addresses, "the gateway's addresses in its log", log)
        self.url, self.admin = (f"http://{found[key]}" for key in ("listen", "admin"))
        wait(lambda: fetch(self.admin + "/readyz")[0] == 200, "the gateway to be ready", log)

        port = free_port()
        self.prometheus = f"http://127.0.0.1:{port}"
        shutil.copytree(DEPLOY / "prometheus/rules", self.folder / "rules")
        scrape = f"scrape_configs: [{{job_name: steadfast, static_configs: [{{targets: ['{found['admin']}']}}]}}]"
        write("prometheus.yml", f"global: {{scrape_interval: 1s, evaluation_interval: 5s}}\nrule_files: [rules/*.yml]\n{scrape}\n")
        command = [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with (self.folder / "prometheus.log").open("w") as sink:
            self.ending.append(subprocess.Popen(command, cwd=self.folder, stdout=sink, stderr=sink))
        wait(lambda: fetch(self.prometheus + "/-/ready")[0] == 200, "Prometheus to be ready", self.folder / "prometheus.log")
        wait(lambda: self.value("up") == 1, "Prometheus to scrape the gateway", self.folder / "prometheus.log")

    def ask(self, wish, path="/v1/chat/completions", session=None, **more):
        """One question; returns the status. A cut stream is an answer like any other."""
        body = {"model": "m", "messages": [{"role": "user", "content": wish}], **more}
        headers = {"content-type": "application/json", **({"x-steadfast-session": session} if session else {})}
        return fetch(self.url + path, json.dumps(body).encode(), headers)[0]

    def query(self, expr, start=None, end=None, step=1):
        """Series of an expression: at this moment, or over a range."""
        form = {"query": expr} if start is None else {"query": expr, "start": start, "end": end, "step": step}
        status, body = fetch(self.prometheus + "/api/v1/" + ("query" if start is None else "query_range"), urllib.parse.urlencode(form).encode(), {})
        assert status == 200, f"{expr}: {status} {body.decode()}"
        return json.loads(body)["data"]["result"]

    def value(self, expr):
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None


def fetch(url, body=None, headers=None):
    request = urllib.request.Request(url, body, headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (http.client.HTTPException, ConnectionResetError):
        return 0, b""
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return 0, b""
        raise


def wait(done, what, log, patience=90):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found = done()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {patience} s for {what}:\n{log.read_text()[-3000:]}")


def end(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def settle(stage, answers=1000):
    """So many answers of the model that the route `swapped` begins with: what its distributions are compared with."""
    ask = lambda _: stage.ask("swift", "/swapped/v1/chat/completions")  # noqa: E731
    with ThreadPoolExecutor(8) as crowd:
        assert set(crowd.map(ask, range(answers))) == {200}


def play(stage, rounds):
    """So many rounds of traffic, however long they take: mostly good answers, each kind of bad one, broken upstreams, conversations, reloads."""
    patience = 250 + 3 * rounds
    until = time.monotonic() + patience
    policy = stage.folder / "default.toml"
    for count in range(1, rounds + 1):
        assert time.monotonic() < until, f"{count} of {rounds} rounds took {patience} s: is the machine that busy?"
        turn = f"chat-{count // 6}"
        stage.ask("hello there", session=turn)
        stage.ask("hello there", stream=True, session=turn)
        stage.ask("tell me", "/v1/messages", max_tokens=100)
        for _ in range(3):
            stage.ask("word" if count % 12 < 5 else "hello there", "/fragile/v1/chat/completions")
        stage.ask("flag" if count % 6 == 0 else "hello there", "/fragile/v1/chat/completions", session=f"steered-{count // 6}")
        for number in range(12):
            stage.ask("other" if number % 6 == 0 and count > rounds // 4 else "swift", "/swapped/v1/chat/completions")
        if count % 2 == 0:
            stage.ask("tell me", "/shadow/v1/chat/completions", stream=True)
            stage.ask(f"once name {count}" if count % 3 else "once name", session=f"bad-{count // 8}")
        if count % 3 == 0:
            for wish in ("hate", "word", "flag", "loop"):
                stage.ask(wish, stream=count % 2 == 0, session=f"bad-{count // 8}")
            stage.ask("name", "/shadow/v1/chat/completions")
        if count % 4 == 0:
            stage.ask("tell me " * 30 + "despair", "/hurried/v1/chat/completions")
            stage.ask("tell me", "/gone/v1/chat/completions")
            stage.ask("fail")
            fetch(stage.url + "/v1/nobody-knows", b'{"input": "x"}', {"content-type": "application/json"})
        if count % 12 == 5:
            policy.write_text(POLICY + "\n# changed\n" * count)
        if count % 12 == 11:
            policy.write_text(POLICY.replace("action", "acton", 1))
        if count % 12 == 0:
            policy.write_text(POLICY)
        time.sleep(0.5)  # scrapes come once a second
    policy.write_text(POLICY)
