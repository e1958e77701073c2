"""A real LiteLLM proxy with the two configurations of docs/recipes.md: steadfast as its guardrail, and steadfast as its models' api_base."""

import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

import stage
import yaml
from tools import BIN, ROOT

CONFIG = """
[server]
listen = "127.0.0.1:{data}"
admin = "127.0.0.1:{admin}"
admin_token = {{ file = "token" }}
[[upstream]]
name = "model"
url = "http://127.0.0.1:{model}"
[[route]]
name = "default"
upstream = "model"
policy = "house.toml"
[classifier]
path = "none"
[incidents]
store = "none"
"""
HOUSE = 'name = "house"\n[[rule]]\nname = "house words"\npatterns = [\'(?i)\\bproject nightfall\\b\']\naction = "block"\n'
TOKEN = "a-token-of-the-test"


class LiteLLM(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="steadfast-litellm-")
        cls.addClassCleanup(holder.cleanup)
        cls.ending = []
        cls.addClassCleanup(lambda: [stage.end(process) for process in cls.ending])
        folder = pathlib.Path(holder.name)
        model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), stage.Model)
        model.daemon_threads = True
        threading.Thread(target=model.serve_forever, daemon=True).start()
        cls.addClassCleanup(lambda: (model.shutdown(), model.server_close()))
        data, admin, cls.port = stage.free_port(), stage.free_port(), stage.free_port()
        (folder / "steadfast.toml").write_text(CONFIG.format(data=data, admin=admin, model=model.server_port))
        (folder / "house.toml").write_text(HOUSE)
        (folder / "token").write_text(TOKEN)
        cls.start([stage.program(), "serve", "--config", "steadfast.toml"], folder, "log")
        stage.wait(lambda: stage.fetch(f"http://127.0.0.1:{admin}/readyz")[0] == 200, "steadfast to be ready", folder / "log")

        section = re.search(r"^## LiteLLM$(.*?)^## ", (ROOT / "docs/recipes.md").read_text(), re.MULTILINE | re.DOTALL)[1]
        proxied, guarded = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL))
        behind = proxied["model_list"][0]
        assert behind["litellm_params"]["api_base"] == "http://127.0.0.1:8080/v1", behind
        behind["litellm_params"]["api_base"] = f"http://127.0.0.1:{data}/v1"
        beside = {"model_name": "beside", "litellm_params": {**behind["litellm_params"], "api_base": f"http://127.0.0.1:{model.server_port}/v1"}}
        (guardrail,) = guarded["guardrails"]
        assert guardrail["litellm_params"]["api_base"] == "http://127.0.0.1:9464", guardrail
        guardrail["litellm_params"]["api_base"] = f"http://127.0.0.1:{admin}"
        # Asked for by name, so that the other model has only the gateway between it and its caller.
        guardrail["litellm_params"]["default_on"] = False
        (folder / "litellm.yaml").write_text(yaml.safe_dump({"model_list": [behind, beside], "guardrails": [guardrail]}))
        command = [BIN / "litellm", "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", str(cls.port), "--telemetry", "False"]
        cls.start(command, folder, "litellm.log")
        ready = lambda: stage.fetch(f"http://127.0.0.1:{cls.port}/health/liveliness")[0] == 200  # noqa: E731
        stage.wait(ready, "LiteLLM to be ready", folder / "litellm.log", patience=240)

    @classmethod
    def start(cls, command, folder, log):
        environment = {"OPENAI_API_KEY": "sk-none", "STEADFAST_ADMIN_TOKEN": TOKEN, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
        with (folder / log).open("w") as sink:
            process = subprocess.Popen(command, cwd=folder, stdout=sink, stderr=sink, env=os.environ | environment)
        cls.ending.append(process)

    def ask(self, model, wish, **more):
        body = {"model": model, "messages": [{"role": "user", "content": wish}], **more}
        status, body = stage.fetch(f"http://127.0.0.1:{self.port}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"})
        return status, body.decode()

    def test_as_a_guardrail(self):
        status, body = self.ask("beside", "hello", guardrails=["steadfast"])
        self.assertEqual((status, json.loads(body)["choices"][0]["message"]["content"] in stage.GOOD), (200, True), body)
        status, body = self.ask("beside", "word", guardrails=["steadfast"])
        self.assertGreaterEqual(status, 400, body)
        self.assertIn("steadfast: house words", body)
        self.assertNotIn("nightfall", body)
        status, body = self.ask("beside", "word")
        self.assertIn("nightfall", body, "without the guardrail it leaves: the test can fail")

    def test_as_a_guardrail_of_streams(self):
        status, body = self.ask("beside", "hello", guardrails=["steadfast"], stream=True)
        self.assertEqual((status, body.rstrip().endswith("data: [DONE]")), (200, True), body)
        _, body = self.ask("beside", "word", guardrails=["steadfast"], stream=True)
        self.assertIn("steadfast: house words", body)
        self.assertNotIn("nightfall", body, "it has not left before it was judged")

    def test_as_the_gateway_before_the_provider(self):
        for stream in (False, True):
            status, body = self.ask("gpt", "hello", stream=stream)
            self.assertEqual((status, "content_filter" in body), (200, False), body)
            status, body = self.ask("gpt", "word", stream=stream)
            self.assertEqual((status, "content_filter" in body), (200, True), body)
            self.assertNotIn("nightfall", body)
