"""Optional step: is this classifier better than another one? Measured on the dev rows of half 0, which chooses thresholds, and on nothing else.

Which of two models ships is a choice too, so it must not be made on the half that is reported, nor on the incidents. Thresholds are set here
at equal false alarms on these rows, so neither model's manifest matters and none need be calibrated. Writes choose.json into the build
folder, and with `--against FILE`, another model's, prints the two side by side.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from . import devset
from .evaluate import Judge, by_language, false_blocks, per_label, twins
from .scoring import Scorer
from .settings import BUILD, LABELS, OUTPUT
from .sources import Row
from .version import version_of


def judge_of(rows: list[Row], logits: np.ndarray) -> Judge:
    """A judge whose thresholds are logits that exactly the wanted share of the harmless rows pass."""
    judge = Judge.__new__(Judge)
    judge.scale, judge.bias = np.ones(len(LABELS)), np.zeros(len(LABELS))
    p = judge.probability(logits)
    benign = np.array([not r.positive for r in rows])
    judge.at = {}
    for rate in (0.01, 0.001):
        at = []
        for j, label in enumerate(LABELS):
            sure = np.array([not devset.unsure(r, label) for r in rows])
            at.append(np.nextafter(np.quantile(p[benign & sure, j], 1 - rate, method="higher"), 2))
        judge.at[rate] = np.array(at)
    return judge


def measure() -> dict:
    rows, logits = devset.scored(Scorer(), half=0, least=True)
    judge = judge_of(rows, logits)
    p = judge.probability(logits)
    return {
        "version": version_of(OUTPUT)[0],
        "rows": len(rows),
        "labels": per_label(rows, p, devset.truth(rows), judge),
        "languages": by_language(rows, p, judge),
        "twins": twins(rows, p, judge),
        "false_blocks": false_blocks(rows, p, judge),
    }


def figures(result: dict) -> list[tuple[str, float]]:
    """(what, value) of all that two models are compared by."""
    labels = result["labels"]
    out = []
    for key, name in (("average_precision", "average precision"), ("recall_at_1_percent", "recall at 1 %"), ("recall_at_0_1_percent", "recall at 0.1 %")):
        out.append((f"{name}, mean", sum(labels[l][key] for l in LABELS) / len(LABELS)))
        out += [(f"{name}, {l}", labels[l][key]) for l in LABELS]
    out += [(f"hand-written rows at 1 %, {lang}", e["recall_at_1_percent"]) for lang, e in result["languages"].items()]
    out += [(f"twins both right, {k}", result["twins"][k]["both_right_at_1_percent"]) for k in ("all", "en", "ja") if k in result["twins"]]
    for name in ("all", "trained_sources", "unseen_sources"):
        out.append((f"false blocks per 10,000 at 0.1 % each, {name.replace('_', ' ')}", result["false_blocks"][name]["per_10000"]))
    return out


def run(against: Path | None = None) -> None:
    result = measure()
    (BUILD / "choose.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    other = json.loads(against.read_text(encoding="utf-8")) if against else {}
    if other and other["rows"] != result["rows"]:
        raise SystemExit(f"{against}: measured on {other['rows']} rows, this one on {result['rows']}; run choose for both on the same data")
    before = dict(figures(other)) if other else {}
    print(f"half 0, {result['rows']} dev rows: {' against '.join(r['version'] for r in (result, other) if r)}")
    for what, value in figures(result):
        print(f"  {what:66} {value:8.3f}" + (f" {before[what]:8.3f} {value - before[what]:+8.3f}" if what in before else ""))
