"""Optional step, after `prepare --continue-from`: how much each hand-written pair still has to teach the model that is continued.

The shipped int8 model scores the last window of both twins, once. The sampler then draws a pair that it parts with ease seldom and one that it gets
wrong often: most of a long list of pairs is known, and drawing them evenly spends most steps on what is known. Pairs that come later count 1.
For 13,000 pairs it takes a core a quarter of an hour, where the sieve scores every draw; use one of the two. What it finds is of one model: after `prepare` with
another it counts no more.
"""

from __future__ import annotations

import json

import numpy as np

from . import sources
from .scoring import Scorer, score_rows
from .settings import BUILD, INDEX
from .version import sha256
from .windows import whole

FILE = BUILD / "hardness.json"
MODEL = BUILD / "continued.onnx"  # left by prepare --continue-from
EASIEST, HARDEST = 0.25, 2.0  # a pair's share of draws: the loss of its twins within these, so that none is forgotten and none rules


def last(row: sources.Row) -> str:
    start, end = whole(row.response)[-1]
    return row.response[start:end]


def weight(bad: np.ndarray, fine: np.ndarray, columns: list[int]) -> float:
    """The training loss of a pair, in short: cross-entropy of both at the labels of the one that collapses, and whether they are in order."""
    up, down = bad[columns], fine[columns]
    loss = np.logaddexp(0, -up).mean() + np.logaddexp(0, down).mean() + 0.5 * np.logaddexp(0, 1.0 - (up - down)).mean()
    return float(np.clip(EASIEST + loss, EASIEST, HARDEST))


def read() -> dict[str, float]:
    """The weights of pairs, as far as they are of the model that is continued now; none where none is."""
    if not (FILE.exists() and MODEL.exists()):
        return {}
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return found["weights"] if found["model"] == sha256(MODEL) else {}


def run() -> None:
    if not MODEL.exists():
        raise SystemExit(f"{MODEL} is missing: hard follows prepare --continue-from FOLDER")
    pairs: dict[str, list[sources.Row]] = {}
    for row in sources.read_authored():
        if row.split == "train" and row.pair:
            pairs.setdefault(row.pair, []).append(row)
    weights = read()
    pairs = {name: twins for name, twins in pairs.items() if name not in weights}
    rows = [row for twins in pairs.values() for row in twins]
    logits = dict(zip((row.id for row in rows), score_rows(Scorer(MODEL, BUILD / "tokenizer.json"), rows, text=last, name="hard")))
    for name, twins in pairs.items():
        bad = [row for row in twins if row.positive]
        fine = [row for row in twins if not row.positive]
        if bad and fine:
            weights[name] = round(max(weight(logits[one.id], logits[other.id], [INDEX[label] for label in one.labels]) for one in bad for other in fine), 3)
    FILE.write_text(json.dumps({"model": sha256(MODEL), "weights": weights}), encoding="utf-8")
    values = np.array(list(weights.values()))
    print(f"hard: {len(values)} pairs, mean {values.mean():.2f}; easy {(values < 0.5).mean():.0%}, hard {(values > 1).mean():.0%}")
