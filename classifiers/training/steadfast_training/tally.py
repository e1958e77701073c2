"""How many hand-written collapses there are of each label and language, as a Markdown table: those written here, and those of the shared data."""

from __future__ import annotations

from collections import Counter

from . import sources
from .settings import AUTHORED, LABELS

SHOWN = ("en", "ja", "zh", "de", "ko", "fr", "es", "pt")


def run() -> None:
    ours = {path.stem for path in AUTHORED.glob("*.jsonl")}
    rows = sources.read_authored()
    print("| label | here | shared | " + " | ".join(SHOWN) + " | other |\n| --- |" + " --- |" * (len(SHOWN) + 3))
    for label in LABELS:
        bad = [row for row in rows if label in row.labels]
        langs = Counter(row.lang if row.lang in SHOWN else "other" for row in bad)
        here = sum(row.file in ours for row in bad)
        print(f"| {label} | {here} | {len(bad) - here} | " + " | ".join(str(langs[lang]) for lang in (*SHOWN, "other")) + " |")
    twins = {row.pair for row in rows if row.positive and row.pair} & {row.pair for row in rows if not row.positive and row.pair}
    print(f"\n{len(twins)} pairs; {sum(not row.positive and row.pair not in twins for row in rows)} harmless rows stand alone.")
