"""The rules: what promtool says of them, what their tests fire, and that each alert has a runbook and its metrics exist."""

import re
import tempfile
import unittest

import yaml

from tools import DEPLOY, PROMTOOL, ROOT, documented_metrics, metrics_in, queries_in, run

RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
TESTS = sorted((ROOT / "tests/deploy/rules").glob("*.test.yml"))
RUNBOOKS = ROOT / "docs/runbooks"


def rules():
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


class Rules(unittest.TestCase):
    def test_promtool_takes_them(self):
        said = run(PROMTOOL, "check", "config", DEPLOY / "prometheus/prometheus.yml")
        self.assertIn(f"{len(RULES)} rule files found", said)
        run(PROMTOOL, "check", "rules", *RULES)

    def test_they_fire_on_what_their_tests_say(self):
        for file in TESTS:
            with self.subTest(file.name):
                run(PROMTOOL, "test", "rules", file)

    def test_each_alert_is_tested_both_firing_and_silent(self):
        firing, silent = set(), set()
        for file in TESTS:
            for test in yaml.safe_load(file.read_text())["tests"]:
                for case in test["alert_rule_test"]:
                    (firing if case.get("exp_alerts") else silent).add(case["alertname"])
        self.assertEqual(firing, set(ALERTS))
        self.assertEqual(silent, set(ALERTS))

    def test_the_metrics_exist_and_so_do_the_recorded_series(self):
        known = set(documented_metrics())
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        for rule in rules():
            name = rule.get("alert") or rule["record"]
            self.assertLessEqual(metrics_in(rule["expr"]), known, name)
            self.assertLessEqual(set(re.findall(r"\w+:steadfast\w*:\w+|steadfast:\w+:\w+", rule["expr"])), recorded, name)

    def test_no_recorded_series_is_without_use(self):
        used = " ".join(rule["expr"] for rule in rules())
        # These are for dashboards over weeks: sums that stay cheap when the raw series are many.
        for_people = {
            "route_action:steadfast_verdicts:rate5m",
            "route:steadfast_stream_hold_seconds:p99_5m",
            "stage:steadfast_classifier_duration_seconds:p99_5m",
            "label:steadfast_label_hits:rate1h",
        }
        unused = {rule["record"] for rule in rules() if "record" in rule and rule["record"] not in used}
        self.assertEqual(unused, for_people)


class Runbooks(unittest.TestCase):
    def test_each_alert_has_a_page_and_each_page_an_alert(self):
        pages = {file.stem for file in RUNBOOKS.glob("Steadfast*.md")}
        self.assertEqual(pages, set(ALERTS))
        listed = dict(re.findall(r"^\| \[(\w+)\]\(\w+\.md\) \| (\w+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE))
        self.assertEqual(listed, {name: rule["labels"]["severity"] for name, rule in ALERTS.items()})
        for name, rule in ALERTS.items():
            self.assertEqual(rule["annotations"]["runbook"], f"docs/runbooks/{name}.md")

    def test_each_page_says_what_to_do_with_queries_that_parse(self):
        known = set(documented_metrics())
        found = []
        for file in [ROOT / "docs/metrics.md", *RUNBOOKS.glob("Steadfast*.md")]:
            text = file.read_text()
            if file.parent == RUNBOOKS:
                for heading in (f"# {file.stem}\n", "**What it means.**", "**What users notice.**", "## Look first", "## Do", "## When it is nothing"):
                    self.assertIn(heading, text, file.name)
            found += [(file.name, query) for query in queries_in(text)]
        self.assertGreater(len(found), len(ALERTS))
        for name, query in found:
            self.assertLessEqual(metrics_in(query), known, name)
        # A file of rules is what promtool parses PromQL in.
        rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(found)]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, file)
            file.flush()
            run(PROMTOOL, "check", "rules", file.name)


if __name__ == "__main__":
    unittest.main()
