"""Optional step: how well the shipped model knows the hand-written pairs that it was trained on, file by file.

Far from all of them right: it was taught too little, and more steps will help. Nearly all right, and dev far behind: it knows them by heart, and only
more data will.
"""

from __future__ import annotations

import hashlib

from . import sources
from .evaluate import Judge, twins
from .scoring import Scorer, score_rows

MOST = 100  # pairs of a file


def chosen() -> dict[str, list[sources.Row]]:
    """The rows of at most MOST pairs of each file's training split, drawn by hash."""
    files: dict[str, dict[str, list[sources.Row]]] = {}
    for row in sources.read_authored():
        if row.split == "train" and row.pair:
            files.setdefault(row.file, {}).setdefault(row.pair, []).append(row)
    drawn = {}
    for file, pairs in sorted(files.items()):
        names = sorted(pairs, key=lambda pair: hashlib.sha256(pair.encode()).hexdigest())[:MOST]
        drawn[file] = [row for name in names for row in pairs[name]]
    return drawn


def run() -> None:
    files = chosen()
    judge = Judge()
    rows = [row for group in files.values() for row in group]
    p = judge.probability(score_rows(Scorer(), rows, name="fit"))
    start = 0
    print("| file | pairs | both right at the 1 % thresholds | ordered rightly |\n| --- | --- | --- | --- |")
    for file, group in files.items():
        part = twins(group, p[start : start + len(group)], judge)["all"]
        start += len(group)
        print(f"| {file} | {part['pairs']} | {part['both_right_at_1_percent']:.2f} | {part['ordered']:.2f} |")
    whole = twins(rows, p, judge)["all"]
    print(f"| all | {whole['pairs']} | {whole['both_right_at_1_percent']:.2f} | {whole['ordered']:.2f} |")
