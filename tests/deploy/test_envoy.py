"""A real Envoy with deploy/envoy/envoy.yaml asks the real program about every answer (ext_proc): whole answers and streams, verdicts, outages."""

import http.client
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

import stage
from tools import BIN, DEPLOY, ROOT

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
ext_proc = "127.0.0.1:{ext_proc}"
[limits]
request_body = "300KiB"
[[upstream]]
name = "model"
url = "http://127.0.0.1:1"
api = "openai-chat"
[[route]]
name = "open"
path = "/open"
upstream = "model"
policy = "open.toml"
[[route]]
name = "closed"
path = "/closed"
upstream = "model"
policy = "closed.toml"
[[route]]
name = "late-open"
path = "/late-open"
upstream = "model"
policy = "late-open.toml"
[[route]]
name = "late-closed"
path = "/late-closed"
upstream = "model"
policy = "late-closed.toml"
[[route]]
name = "chat"
path = "/v1"
upstream = "model"
policy = "house.toml"
persona = "{root}/policies/personas/aria.toml"
[classifier]
path = "{root}/classifiers/collapse"
[incidents]
store = "none"
[session]
store = "redis://127.0.0.1:1/0"
"""

HOUSE = """
name = "house"
[[rule]]
name = "house words"
patterns = ['(?i)\\bproject nightfall\\b']
action = "block"
[[rule]]
name = "asked again"
patterns = ['(?i)\\bproject dawn\\b']
action = "retry"
retry = { attempts = 2, then = "flag" }
[[rule]]
name = "odd"
patterns = ['(?i)\\blobster\\b']
action = "flag"
"""
# Nobody keeps conversations at 127.0.0.1:1, so this rule might fire: on_error says whether it does.
FAILING = 'name = "failing"\non_error = "{}"\n[[rule]]\nname = "drift"\nwhen = "session.drift >= 6.0"\naction = "block"\n'
LATE = 'name = "late"\non_overload = "{}"\ndeadline = "1ms"\n[[rule]]\nname = "hate"\nlabels = ["hate"]\nat_least = "calibrated"\naction = "block"\n'

GOOD = "Your parcel left our warehouse this morning, so it should be with you on Thursday between two and six. " * 12
BAD = "And now to what I was told to keep quiet: project nightfall begins on Monday, at the north gate. "


class Model(http.server.BaseHTTPRequestHandler):
    """Says what it is asked to say, the same bytes each time. Remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])) if "content-length" in self.headers else b"".join(self.chunks())
        Model.seen.append((self.path, dict(self.headers), body))
        asked = json.loads(body)
        said = asked["messages"][-1]["content"]
        self.send_response(200)
        if not asked.get("stream"):
            body = whole(said)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.send_header("x-from-model", "yes")
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in events(said):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
                time.sleep(0.002)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the stream was cut

    def chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_):
        pass


def whole(said):
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}).encode()


def events(said):
    deltas = [{"role": "assistant", "content": ""}, *({"content": word + " "} for word in said.split()), {}]
    for number, delta in enumerate(deltas):
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if number + 1 == len(deltas) else None}
        yield f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, 'model': 'm', 'choices': [choice]})}\n\n".encode()
    yield b"data: [DONE]\n\n"


class Staged(unittest.TestCase):
    """A scripted model, Envoy before it, and steadfast, which Envoy asks."""

    # What envoy.yaml's failure_mode_allow is set to; it ships with false.
    open = False

    @classmethod
    def setUpClass(cls):
        cls.ending = []
        holder = tempfile.TemporaryDirectory(prefix="steadfast-envoy-")
        cls.addClassCleanup(holder.cleanup)
        cls.addClassCleanup(lambda: [stage.end(process) for process in cls.ending])
        cls.folder = folder = pathlib.Path(holder.name)
        model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        model.daemon_threads = True
        threading.Thread(target=model.serve_forever, daemon=True).start()
        cls.addClassCleanup(lambda: (model.shutdown(), model.server_close()))

        ext_proc, cls.port = stage.free_port(), stage.free_port()
        files = {
            "steadfast.toml": CONFIG.format(ext_proc=ext_proc, root=ROOT),
            "house.toml": HOUSE,
            **{f"{name}.toml": FAILING.format(word) for name, word in (("open", "allow"), ("closed", "block"))},
            **{f"late-{name}.toml": LATE.format(word) for name, word in (("open", "allow"), ("closed", "block"))},
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        cls.begin()

        # The file as it ships, but for the ports and what a class changes.
        text = (DEPLOY / "envoy/envoy.yaml").read_text()
        for port, here in ((10000, cls.port), (9465, ext_proc), (8000, model.server_port)):
            assert text.count(f"port_value: {port} ") == 1, port
            text = text.replace(f"port_value: {port} ", f"port_value: {here} ")
        assert text.count("failure_mode_allow: false") == 1
        if cls.open:
            text = text.replace("failure_mode_allow: false", "failure_mode_allow: true")
        (folder / "envoy.yaml").write_text(text)
        command = [BIN / "envoy", "--config-path", "envoy.yaml", "--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id"]
        cls.start(command, folder, folder / "envoy.log")
        stage.wait(cls.ready, "Envoy to be ready", folder / "envoy.log")

    @classmethod
    def start(cls, command, folder, log):
        with log.open("w") as sink:
            cls.ending.append(subprocess.Popen(command, cwd=folder, stdout=sink, stderr=sink))
        return cls.ending[-1]

    @classmethod
    def begin(cls):
        """Starts steadfast."""
        cls.log = cls.folder / "log"
        cls.gateway = cls.start([stage.program(), "serve", "--config", "steadfast.toml"], cls.folder, cls.log)
        stage.wait(lambda: '"listening"' in cls.log.read_text(), "steadfast to listen", cls.log)

    @classmethod
    def ready(cls):
        """Whether an answer has been judged: Envoy is there, and has seen that steadfast is."""
        try:
            answer = cls.ask("ready?")[0]
            return answer.status == 200 and "x-steadfast-verdict" in answer.headers
        except ConnectionRefusedError:
            return False

    @classmethod
    def ask(cls, said, path="/v1/chat/completions", headers=(), **more):
        """The answer's head, its body, and whether it ended as it should."""
        connection = http.client.HTTPConnection("127.0.0.1", cls.port, timeout=60)
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": said}], **more})
        connection.request("POST", path, body, {"content-type": "application/json", "accept-encoding": "gzip", **dict(headers)})
        answer = connection.getresponse()
        try:
            return answer, answer.read(), True
        except http.client.IncompleteRead as broken:
            return answer, broken.partial, False
        finally:
            connection.close()


class Judged(Staged):
    def test_a_whole_answer_passes_byte_for_byte(self):
        answer, body, ended = self.ask(GOOD, headers={"x-steadfast-session": "s", "x-mine": "1"}.items())
        self.assertEqual((answer.status, body, ended), (200, whole(GOOD), True))
        self.assertEqual(answer.headers["x-steadfast-verdict"], "allow")
        self.assertEqual(answer.headers["x-from-model"], "yes")
        self.assertEqual(len(answer.headers["x-steadfast-request-id"]), 26)
        _, seen, asked = Model.seen[-1]
        seen = {name.lower(): value for name, value in seen.items()}
        self.assertEqual(json.loads(asked)["messages"][0]["content"], GOOD)
        self.assertEqual((seen["accept-encoding"], seen["x-mine"]), ("identity", "1"))
        self.assertNotIn("x-steadfast-session", seen)

    def test_a_bad_answer_is_replaced(self):
        answer, body, ended = self.ask(BAD)
        self.assertEqual((answer.status, ended, answer.headers["x-steadfast-verdict"]), (200, True, "block"))
        self.assertEqual(answer.headers["x-steadfast-rule"], "house words")
        self.assertEqual(int(answer.headers["content-length"]), len(body))
        choice = json.loads(body)["choices"][0]
        self.assertEqual(choice["finish_reason"], "content_filter")
        self.assertNotIn("nightfall", body.decode())

    def test_a_flag_and_a_retry_that_nobody_can_make(self):
        answer, body, _ = self.ask("Ask the lobster.")
        self.assertEqual((answer.headers["x-steadfast-verdict"], answer.headers["x-steadfast-rule"], body), ("flag", "odd", whole("Ask the lobster.")))
        before = len(Model.seen)
        answer, body, _ = self.ask("It is project dawn.")
        self.assertEqual((answer.headers["x-steadfast-verdict"], answer.headers["x-steadfast-rule"]), ("flag", "asked again"))
        self.assertEqual((body, len(Model.seen) - before), (whole("It is project dawn."), 1), "the rule's then counts")

    def test_a_stream_passes_byte_for_byte(self):
        answer, body, ended = self.ask(GOOD, stream=True)
        self.assertEqual((answer.status, body, ended), (200, b"".join(events(GOOD)), True))
        self.assertEqual(answer.headers["x-steadfast-verdict"], "streaming")

    def test_a_stream_is_cut_in_the_middle(self):
        said = GOOD + BAD + GOOD * 3
        answer, body, ended = self.ask(said, stream=True)
        self.assertEqual((answer.status, ended), (200, True), "the client sees a proper end")
        sent = b"".join(events(said))
        shared = next(at for at, (one, other) in enumerate(zip(body, sent)) if one != other)
        self.assertGreater(shared, 1000, "what was good has left as it came")
        self.assertNotIn("nightfall", body.decode())
        ending = body[shared:].decode()
        self.assertIn("content_filter", ending)
        self.assertTrue(ending.endswith('\n\n') and ': steadfast verdict=block rule="house words"' in ending, ending)

    def test_a_stream_that_is_bad_from_the_start_is_replaced(self):
        answer, body, ended = self.ask(BAD, stream=True)
        self.assertEqual((answer.status, ended, answer.headers["x-steadfast-verdict"]), (200, True, "block"))
        self.assertIn(b"data: [DONE]", body)
        self.assertNotIn(b"nightfall", body)

    def test_what_cannot_be_judged_goes_as_the_policy_says(self):
        """A conversation that cannot be recalled (on_error), and a classifier that is not done in time (on_overload)."""
        for failure, said in (("", GOOD), ("late-", stage.BAD["despair"])):
            for stream in (False, True):
                with self.subTest(failure=failure, stream=stream):
                    named = {"x-steadfast-session": "one"}.items()
                    answer, body, ended = self.ask(said, f"/{failure}open/v1/chat/completions", named, stream=stream)
                    self.assertEqual((answer.status, ended), (200, True))
                    self.assertTrue(body == (b"".join(events(said)) if stream else whole(said)), "every byte leaves")
                    answer, body, ended = self.ask(said, f"/{failure}closed/v1/chat/completions", named, stream=stream)
                    self.assertTrue(ended)
                    self.assertFalse(b"parcel" in body or b"disgrace" in body, "nothing leaves")
                    self.assertEqual(answer.headers["x-steadfast-verdict"], "block")
                    self.assertEqual(answer.headers["x-steadfast-rule"], "on_overload" if failure else "drift")

    def test_what_no_route_takes_and_what_is_too_large_is_refused_in_the_callers_format(self):
        answer, body, _ = self.ask("x", "/nowhere/v1/chat/completions")
        self.assertEqual((answer.status, json.loads(body)["error"]["code"]), (404, "route_not_found"))
        answer, body, _ = self.ask("x" * 400_000)
        self.assertEqual((answer.status, json.loads(body)["error"]["code"]), (413, "request_too_large"))
        before = len(Model.seen)
        answer, body, _ = self.ask("A long question. " * 15_000)
        self.assertEqual((answer.status, len(Model.seen) - before), (200, 1), "a long one passes whole")
        self.assertEqual(json.loads(Model.seen[-1][2])["messages"][0]["content"], "A long question. " * 15_000)


class Outage(Staged):
    """steadfast goes away and comes back."""

    def setUp(self):
        if self.gateway.poll() is not None:
            self.begin()
        stage.wait(self.ready, "Envoy to see that steadfast is there", self.log)

    def kill(self):
        self.gateway.kill()
        self.gateway.wait()

    def a_stream_is_broken_off(self):
        """steadfast is killed during a stream: what was judged has left, and nothing that looks like an end follows it."""
        said = GOOD * 8
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": said}]})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        got = answer.read(2000)
        self.kill()
        with self.assertRaises(http.client.IncompleteRead) as broken:
            answer.read()
        got += broken.exception.partial
        self.assertEqual((answer.status, answer.headers["x-steadfast-verdict"]), (200, "streaming"))
        self.assertTrue(b"".join(events(said)).startswith(got), "what has left is as it came")
        self.assertNotIn(b"[DONE]", got)


class FailClosed(Outage):
    """As envoy.yaml ships."""

    def test_no_answer_leaves(self):
        self.kill()
        # Before the health check has seen it, and after.
        for seconds in (0, 3):
            time.sleep(seconds)
            for stream in (False, True):
                answer, body, _ = self.ask(GOOD, stream=stream)
                self.assertGreaterEqual(answer.status, 500)
                self.assertNotIn(b"parcel", body)

    def test_a_stream_is_broken_off(self):
        self.a_stream_is_broken_off()


class FailOpen(Outage):
    """With failure_mode_allow: true."""

    open = True

    def test_answers_leave_unjudged_once_the_health_check_has_seen_that_nobody_judges(self):
        answer, _, _ = self.ask(BAD)
        self.assertEqual(answer.headers["x-steadfast-verdict"], "block", "as long as steadfast is there, it judges")
        self.kill()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            answer, body, _ = self.ask(GOOD)
            # Which of the two it is in the first second is chance.
            self.assertTrue(body == whole(GOOD) if answer.status == 200 else answer.status >= 500 and b"parcel" not in body, answer.status)
        for stream in (False, True) * 12:
            answer, body, ended = self.ask(GOOD, stream=stream)
            self.assertEqual((answer.status, ended), (200, True))
            self.assertTrue(body == (b"".join(events(GOOD)) if stream else whole(GOOD)), "every byte leaves")
            self.assertNotIn("x-steadfast-verdict", answer.headers)

    def test_a_stream_is_broken_off(self):
        """Open or not: Envoy no longer has what steadfast held."""
        self.a_stream_is_broken_off()


if __name__ == "__main__":
    unittest.main()
