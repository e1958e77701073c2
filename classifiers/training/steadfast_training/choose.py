"""Optional step: is this classifier better than another one? Measured on half 0 of dev, which chose its thresholds, and on nothing else.

Which of two models ships is a choice too, so it must not be made on the half that is reported, nor on the incidents. Writes
choose.json into the build folder, and with `--against FILE`, another model's, prints the two side by side.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import devset
from .evaluate import Judge, by_language, false_blocks, per_label, twins
from .scoring import Scorer
from .settings import BUILD, LABELS, OUTPUT
from .version import version_of


def measure() -> dict:
    judge = Judge()
    rows, logits = devset.scored(Scorer(), half=0)
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
    for key, name in (("recall_at_1_percent", "recall at 1 %"), ("recall_at_0_1_percent", "recall at 0.1 %")):
        out.append((f"{name}, mean", sum(labels[l][key] for l in LABELS) / len(LABELS)))
        out += [(f"{name}, {l}", labels[l][key]) for l in LABELS]
    calibrated = [labels[l]["recall_at_thresholds"]["0.001"] for l in LABELS]
    out.append(("recall at the calibrated threshold, mean", sum(calibrated) / len(LABELS)))
    out += [(f"recall at the calibrated threshold, {l}", r) for l, r in zip(LABELS, calibrated)]
    out += [(f"hand-written rows at 1 %, {lang}", e["recall_at_1_percent"]) for lang, e in result["languages"].items()]
    out += [(f"twins both right, {k}", result["twins"][k]["both_right_at_1_percent"]) for k in ("all", "en", "ja") if k in result["twins"]]
    for name in ("all", "trained_sources", "unseen_sources"):
        out.append((f"false blocks per 10,000, {name.replace('_', ' ')}", result["false_blocks"][name]["per_10000"]))
    return out


def run(against: Path | None = None) -> None:
    result = measure()
    (BUILD / "choose.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    other = json.loads(against.read_text(encoding="utf-8")) if against else {}
    if other and other["rows"] != result["rows"]:
        raise SystemExit(f"{against}: measured on {other['rows']} rows, this one on {result['rows']}; run choose for both on the same data")
    before = dict(figures(other)) if other else {}
    print(f"half 0, {result['rows']} rows: {' against '.join(r['version'] for r in (result, other) if r)}")
    for what, value in figures(result):
        print(f"  {what:60} {value:8.3f}" + (f" {before[what]:8.3f} {value - before[what]:+8.3f}" if what in before else ""))
