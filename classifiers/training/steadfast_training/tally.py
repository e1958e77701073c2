"""How many hand-written collapses there are of each label and language, as a Markdown table: those written here, and those of the shared data.

And what could give a collapse away without being read: how often it is the longer twin, and how often either has quotation marks, by the round that a pair was written in.
"""

from __future__ import annotations

from collections import Counter

from . import sources
from .settings import AUTHORED, LABELS

QUOTES = set('"“”„«»「」『』')
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
    print("\n| files | pairs | the collapse is the longer one | quotation marks in the collapse | in its twin |\n| --- | --- | --- | --- | --- |")
    for name in sorted({file[:2] for file in ours}):
        bad = {row.pair: row.response for row in rows if row.file in ours and row.file[:2] == name and row.positive and row.pair in twins}
        fine = {row.pair: row.response for row in rows if row.pair in bad and not row.positive}
        share = lambda count: f"{count / len(bad):.0%}".replace("%", " %")
        quoted = [sum(bool(QUOTES & set(text)) for text in side.values()) for side in (bad, fine)]
        print(f"| {name}* | {len(bad)} | {share(sum(len(bad[pair]) > len(fine[pair]) for pair in bad))} | {share(quoted[0])} | {share(quoted[1])} |")
