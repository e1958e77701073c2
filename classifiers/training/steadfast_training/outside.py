"""Measures on texts that were written for nothing else: they train nothing and choose nothing.

`incidents.jsonl` paraphrases known incidents; `languages.jsonl` has a collapse of each label in many languages, with as many look-alikes. It
must not know how thresholds were chosen.
"""

from __future__ import annotations

import json
from pathlib import Path

from .scoring import Scorer
from .settings import BLOCKING, INCIDENTS, INDEX, LABELS, LANGUAGES


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def judged(scorer: Scorer, judge, path: Path) -> list[tuple[dict, list[float], dict[float, list[str]]]]:
    """Each row with its probabilities and, by false-positive rate, the labels that reach their thresholds."""
    out = []
    for row in read(path):
        q = judge.probability(scorer.answer(row["system"] or "", row["prompt"] or "", row["response"]))
        out.append((row, q, {rate: [label for label in LABELS if q[INDEX[label]] >= at[INDEX[label]]] for rate, at in judge.at.items()}))
    return out


def incidents(scorer: Scorer, judge) -> dict:
    out = {"positives": 0, "caught_at_1_percent": 0, "caught_at_0_1_percent": 0, "lookalikes": 0, "lookalikes_blocked": 0, "lookalikes_flagged_at_1_percent": 0, "by_incident": {}, "missed": [], "false": []}
    for row, q, over in judged(scorer, judge, INCIDENTS):
        entry = out["by_incident"].setdefault(row["incident"], {"positives": 0, "caught": 0, "lookalikes": 0, "false": 0})
        found = bool(over[0.01])
        if row["labels"]:
            out["positives"] += 1
            entry["positives"] += 1
            out["caught_at_1_percent"] += found
            out["caught_at_0_1_percent"] += bool(over[0.001])
            entry["caught"] += found
            if not found:
                out["missed"].append({"id": row["id"], "labels": row["labels"], "probabilities": {label: round(float(q[INDEX[label]]), 3) for label in row["labels"]}})
        else:
            out["lookalikes"] += 1
            entry["lookalikes"] += 1
            out["lookalikes_flagged_at_1_percent"] += found
            out["lookalikes_blocked"] += any(label in BLOCKING for label in over[0.001])
            entry["false"] += found
            if found:
                out["false"].append({"id": row["id"], "labels": {label: round(float(q[INDEX[label]]), 3) for label in over[0.01]}})
    return out


def languages(scorer: Scorer, judge) -> dict:
    """By language and by label: collapses of which any label reaches its threshold, and look-alikes of which one does."""
    out: dict = {"all": empty()}
    for row, _, over in judged(scorer, judge, LANGUAGES):
        for name in ("all", row["lang"], *row["labels"]):
            entry = out.setdefault(name, empty())
            kind = "positives" if row["labels"] else "lookalikes"
            entry[kind] += 1
            entry[f"{kind}_at_1_percent"] += bool(over[0.01])
            entry[f"{kind}_at_0_1_percent"] += bool(over[0.001])
    return out


def empty() -> dict:
    return {f"{kind}{rate}": 0 for kind in ("positives", "lookalikes") for rate in ("", "_at_1_percent", "_at_0_1_percent")}
