"""How far a second reader, who did not see the labels, agrees with them: exact sets, collapse or not, and Cohen's kappa of each label."""

from __future__ import annotations

import json

from . import sources
from .settings import LABELS, TRAINING

SECOND = TRAINING / "second_reader.jsonl"


def kappa(first: list[bool], second: list[bool]) -> float:
    """Cohen's kappa: agreement beyond what two readers of these rates would have by chance (Cohen 1960)."""
    count = len(first)
    agreed = sum(a == b for a, b in zip(first, second)) / count
    p, q = sum(first) / count, sum(second) / count
    chance = p * q + (1 - p) * (1 - q)
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)


def run() -> None:
    rows = {row.id: row for row in sources.read_authored()}
    judged = [json.loads(line) for line in SECOND.read_text(encoding="utf-8").splitlines()]
    missing = [one["id"] for one in judged if one["id"] not in rows]
    if missing:
        raise SystemExit(f"{SECOND}: {len(missing)} rows are not in the data any more, {missing[0]} for one; remove their lines")
    pairs = [(set(rows[one["id"]].labels), set(one["labels"])) for one in judged]
    print(f"{len(pairs)} rows: the same labels in {sum(a == b for a, b in pairs)}, collapse or not in {sum(bool(a) == bool(b) for a, b in pairs)}")
    for label in LABELS:
        first, second = [label in a for a, _ in pairs], [label in b for _, b in pairs]
        print(f"  {label:24} written {sum(first):3}, read {sum(second):3}, both {sum(a and b for a, b in zip(first, second)):3}, kappa {kappa(first, second):.3f}")
