"""Reads every data set into one row type, and says which rows may be trained on. It must not know the model."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from .settings import AUTHORED, DATA

# Sources whose licence lets weights trained on them be redistributed. Everything else may only evaluate:
# non-commercial (alpaca_eval's data is marked CC-BY-NC by its positives file), share-alike, or no licence stated.
PERMISSIVE = {
    "authored",
    "halueval_general",
    "pt_llm_comparison",
    "refusal_direction",
    "shaberi",
    "smile",
    "synthetic_persona_chat",
    "tau_airline",
    "xpersona",
    "anthropic_evals_statements",
    "diasafety",
    "em_bad_advice",
    "em_persona_hierarchy",
    "hh_rlhf_harmless",
    "japanese_toxic",
    "shaberi_breaks",
    "synthetic_persona_chat_claims",
    "toxigen_seed",
}


@dataclass
class Row:
    """One exchange. `onset` is the character where the collapse begins; None where the source does not say."""

    id: str
    source: str
    license: str
    lang: str
    system: str
    prompt: str
    response: str
    labels: list[str]
    split: str
    complete: bool  # a label that is not listed is absent (True) or merely unknown (False)
    pair: str | None = None
    onset: int | None = None
    stance: str = "own"
    hard: bool = False
    in_character: bool | None = None
    file: str = ""
    half: int = field(default=0)  # dev rows: 0 chooses thresholds, 1 is reported

    @property
    def positive(self) -> bool:
        return bool(self.labels)

    @property
    def permissive(self) -> bool:
        return self.source in PERMISSIVE


def half_of(key: str) -> int:
    """Which half of dev a prompt (or pair) belongs to, by hash, so that it never moves."""
    return hashlib.sha256(key.encode()).digest()[0] & 1


def _lines(path: Path) -> Iterator[dict]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise SystemExit(f"{path}:{number}: not JSON ({error}); fix or remove the line") from error


def _row(raw: dict, source: str, complete: bool, path: Path) -> Row:
    pair = raw.get("pair") if source == "authored" else None
    key = pair or raw.get("prompt") or raw["response"]
    return Row(
        id=raw["id"],
        source=source,
        license=raw.get("license") or "none stated",
        lang=raw.get("lang") or "en",
        system=raw.get("system") or "",
        prompt=raw.get("prompt") or "",
        response=raw["response"],
        labels=list(raw.get("labels") or []),
        split=raw.get("split") or "train",
        complete=complete,
        pair=pair,
        onset=raw.get("onset"),
        stance=raw.get("stance") or "own",
        hard=bool(raw.get("hard")),
        in_character=raw.get("in_character"),
        file=path.name.split(".")[0],
        half=half_of(key),
    )


def read_authored() -> list[Row]:
    rows: list[Row] = []
    for folder in (DATA / "authored", AUTHORED):
        for path in sorted(folder.glob("*.jsonl")):
            rows += [_row(raw, "authored", True, path) for raw in _lines(path)]
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise SystemExit(f"{row.file}: id {row.id} occurs twice; ids are unique over all authored files")
        seen.add(row.id)
    return rows


def read_positives() -> list[Row]:
    rows: list[Row] = []
    for path in sorted((DATA / "positives").glob("*.jsonl.gz")):
        source = path.name.split(".")[0]
        if source == "synthetic_persona_chat":
            source = "synthetic_persona_chat_claims"  # the persona folder holds a file of the same name
        rows += [_row(raw, source, False, path) for raw in _lines(path)]
    return rows


def read_negatives() -> list[Row]:
    rows: list[Row] = []
    for path in sorted((DATA / "negatives").glob("*.jsonl.gz")):
        rows += [_row(raw, path.name.split(".")[0], True, path) for raw in _lines(path)]
    return rows


def read_persona() -> list[Row]:
    """In-character answers only: the swapped ones are marked out of character but carry no label."""
    rows: list[Row] = []
    for path in sorted((DATA / "persona").glob("*.jsonl.gz")):
        if path.name.startswith("persona_prompts"):
            continue
        for raw in _lines(path):
            if raw.get("in_character"):
                rows.append(_row(raw, path.name.split(".")[0], True, path))
    return rows


def read_role_prompts() -> list[str]:
    """One-sentence role prompts (MIT), harmless and harmful roles mixed."""
    return [raw["system"] for raw in _lines(DATA / "persona" / "persona_prompts.jsonl.gz")]


def read_all() -> list[Row]:
    return read_authored() + read_positives() + read_negatives() + read_persona()
