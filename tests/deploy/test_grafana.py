"""The dashboards: what is in the repository is what their script builds, and every query of every panel, variable and annotation gets data from a real
Prometheus that scraped the real gateway under scripted traffic.

STEADFAST_PICTURES=DIR also draws them, from a longer run of traffic: `scripts/test-deploy --pictures`.
"""

import importlib.util
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
import urllib.parse

import yaml

import stage
from tools import DEPLOY, PROMTOOL, ROOT, documented_metrics, metrics_in, run

PICTURES = os.environ.get("STEADFAST_PICTURES")
ROUNDS = 180 if PICTURES else 48
RATE = "20s"
# Where everything is well these stay at zero: there must be a value all the same.
MAY_BE_ZERO = {"Queue", "Spans not delivered", "Incidents not recorded", "In flight", "Fleet drift"}


def boards():
    spec = importlib.util.spec_from_file_location("build", DEPLOY / "grafana/build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return build.texts()


def panels(board):
    for panel in board["panels"]:
        yield from [panel, *panel.get("panels", [])]


def plain(expr):
    """A query as Grafana would send it, with everything chosen."""
    expr = expr.replace("$__rate_interval", RATE).replace("$__range", "10m")
    return re.sub(r"\$(job|route|upstream|label|persona|model)\b", ".*", expr)


def legend(form, series):
    return re.sub(r"\{\{(\w+)\}\}", lambda label: series["metric"].get(label[1], ""), form) or " ".join(series["metric"].values())


class Files(unittest.TestCase):
    def test_they_are_what_the_script_builds(self):
        for name, text in boards().items():
            self.assertEqual((DEPLOY / "grafana" / name).read_text(), text, f"run deploy/grafana/build.py: {name} differs")
        self.assertEqual({file.name for file in (DEPLOY / "grafana").glob("*.json")}, set(boards()))

    def test_every_metric_that_is_shown_exists(self):
        shown, known = metrics_in(" ".join(boards().values())), set(documented_metrics())
        self.assertLessEqual(shown, known)
        self.assertGreater(len(shown), 20)
        for name in sorted(known - shown):
            print(f"NOT SHOWN on any dashboard: {name}", file=sys.stderr)

    def test_panels_have_titles_of_their_own_and_say_what_they_show(self):
        for name, text in boards().items():
            found = [panel for panel in panels(json.loads(text)) if panel["type"] != "row"]
            self.assertEqual(len(found), len({panel["title"] for panel in found}), name)
            for panel in found:
                self.assertTrue(panel["title"] and panel["description"].endswith("."), f"{name}: {panel['title']}")

    def test_each_board_has_its_rows_variables_and_annotations(self):
        rows = {
            "steadfast.json": ["Traffic", "Guard", "Drift", "Classifier", "Operation"],
            "persona-drift.json": ["Answers", "Conversations", "Fleet"],
        }
        found = {name: json.loads(text) for name, text in boards().items()}
        self.assertEqual(rows, {name: [panel["title"] for panel in board["panels"] if panel["type"] == "row"] for name, board in found.items()})
        for name, board in found.items():
            self.assertLessEqual({"route", "persona", "model"}, {variable["name"] for variable in board["templating"]["list"]}, name)
            self.assertEqual([mark["name"] for mark in board["annotations"]["list"]], ["reloads", "incidents"], name)

    def test_each_query_heeds_every_variable_that_its_metrics_have_a_label_for(self):
        known, heeded = documented_metrics(), set()
        for name, text in boards().items():
            board = json.loads(text)
            variables = {variable["name"] for variable in board["templating"]["list"]} - {"datasource"}
            queries = [target["expr"] for panel in panels(board) for target in panel.get("targets", [])]
            for expr in queries + [mark["expr"] for mark in board["annotations"]["list"]]:
                found = re.findall(r"(steadfast_\w+?)(?:_bucket|_sum|_count)?(?:\{([^}]*)\}|(?![\w{]))", expr)
                self.assertTrue(found, expr)
                for metric, selector in found:
                    for label in variables & (known[metric][1] | {"job"}):
                        self.assertIn(f'{label}=~"${label}"', selector, f"{name}: {expr}")
                        heeded.add(label)
        self.assertEqual(heeded, {"job", "route", "upstream", "label", "persona", "model"})


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stage = stage.Stage().__enter__()
        cls.addClassCleanup(cls.stage.__exit__)
        stage.settle(cls.stage)
        if PICTURES:
            time.sleep(25)  # what settled is no part of them
        cls.start = time.time()
        stage.play(cls.stage, ROUNDS)
        time.sleep(2.5)  # the last scrapes
        cls.end = time.time()
        cls.page = stage.fetch(cls.stage.admin + "/metrics")[1].decode()
        # A family without a sample has its name on the page all the same.
        cls.unfed = set(documented_metrics()) - metrics_in(re.sub("(?m)^#.*$", "", cls.page))

    def test_the_page_passes_promtool(self):
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=self.page, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_nothing_is_unfed(self):
        self.assertEqual(self.unfed, set())

    def test_the_exchanged_model_is_an_incident(self):
        found = json.loads(stage.fetch(self.stage.admin + "/api/incidents?route=swapped")[1])["incidents"]
        self.assertEqual({(each["kind"], each["rule"]) for each in found}, {("fleet", "fleet shift")})
        self.assertIn("has moved over the last", found[0]["evidence"])

    def test_every_panel_has_data(self):
        for name, text in boards().items():
            board, answers = json.loads(text), {}
            for panel in panels(board):
                for target in panel.get("targets", []):
                    with self.subTest(board=name, panel=panel["title"], expr=target["expr"]):
                        answers.setdefault(panel["title"], []).extend(self.answer(panel, target))
            if PICTURES:
                import draw

                draw.draw(board, answers, pathlib.Path(PICTURES) / name.replace(".json", ".png"))

    def answer(self, panel, target):
        expr, form = plain(target["expr"]), target.get("legendFormat", "")
        if target.get("instant"):
            series = self.stage.query(expr)
            found = [(legend(form, one), [0.0], [float(one["value"][1])]) for one in series]
        else:
            series = self.stage.query(expr, self.start + 5, self.end, 2)
            found = [
                (legend(form, one), [float(at) - self.start for at, _ in one["values"]], [float(value) for _, value in one["values"]])
                for one in series
            ]
        values = [value for _, _, values in found for value in values if not math.isnan(value)]
        self.assertTrue(values, "no data")
        if panel["title"] not in MAY_BE_ZERO:
            self.assertGreater(max(values), 0, "nothing but zero")
        for label in re.findall(r"\{\{(\w+)\}\}", form):
            self.assertTrue(any(label in one["metric"] for one in series), f"no series has the label {label}")
        return found

    def test_every_variable_has_values(self):
        for name, text in boards().items():
            for variable in json.loads(text)["templating"]["list"]:
                if variable["type"] != "query":
                    continue
                match, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
                form = urllib.parse.urlencode({"match[]": plain(match)})
                _, body = stage.fetch(f"{self.stage.prometheus}/api/v1/label/{label}/values?{form}")
                self.assertTrue(json.loads(body)["data"], f"{name}: {variable['name']}")

    def test_every_annotation_marks_something(self):
        for name, text in boards().items():
            for mark in json.loads(text)["annotations"]["list"]:
                found = self.stage.query(plain(mark["expr"]), self.start, self.end, 2)
                self.assertTrue(found, f"{name}: {mark['name']}")

    def test_the_rules_are_evaluated_without_errors(self):
        groups = json.loads(stage.fetch(self.stage.prometheus + "/api/v1/rules")[1])["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        recorded = [rule["record"] for file in (DEPLOY / "prometheus/rules").glob("*.yml")
                    for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"] if "record" in rule]
        self.assertEqual([rule["name"] for rule in rules if rule["health"] != "ok"], [])
        for name in recorded:
            self.assertTrue(self.stage.query(name), f"{name} was never recorded")


if __name__ == "__main__":
    unittest.main()
