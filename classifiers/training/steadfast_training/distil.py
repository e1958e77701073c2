"""What the first stage learns from: windows with the second stage's own logits, of the training split and of dev; kept in the build folder.

Half of the training windows are drawn as training draws them (twins, tails, quotations, disguises), the others are cut from training rows
as the gateway cuts a stream. It must not know thresholds, nor how a first stage is made.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import devset, sources
from .layout import runs
from .normalize import normalize
from .prepare import read_lexicon
from .sampler import Sampler
from .scoring import Scorer
from .settings import BUILD, LABELS, OUTPUT, PACKAGE, PERSONA_TOKENS, SEED, USER_TOKENS
from .sources import Row
from .tokenizer import SEP
from .windows import stream

DRAWN = 0.55  # the share of windows that the sampler draws
COLLAPSED = 0.5  # the share of positives among the others
EVERY = 1000  # windows from one save to the next


@dataclass
class Windows:
    """Inputs as ids and what the second stage says of them. `row` is the number of the row that a window was cut from; -1 for a draw."""

    parts: list[tuple[list[int], list[int], list[int]]]  # persona, user, window
    logits: np.ndarray  # [windows, labels]
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.parts)

    def save(self, path: Path, key: str) -> None:
        sizes = np.array([[len(part) for part in parts] for parts in self.parts], np.int16).reshape(-1, 3)
        flat = np.array([i for parts in self.parts for part in parts for i in part], np.uint16)
        np.savez(path, key=key, sizes=sizes, flat=flat, logits=self.logits.astype(np.float32), row=self.row)

    @staticmethod
    def load(path: Path, key: str) -> "Windows":
        """Empty where there is none, or one that was made in another way."""
        saved = np.load(path) if path.exists() else None
        if saved is None or str(saved["key"]) != key:
            return Windows([], np.zeros((0, len(LABELS)), np.float32), np.zeros(0, np.int32))
        ends, flat = saved["sizes"].astype(np.int64).ravel().cumsum(), saved["flat"].tolist()
        pieces = [flat[a:b] for a, b in zip([0, *ends[:-1]], ends)]
        return Windows([tuple(pieces[n : n + 3]) for n in range(0, len(pieces), 3)], saved["logits"], saved["row"])

    def add(self, parts: list, logits: list, row: list) -> None:
        self.parts += parts
        self.logits = np.concatenate([self.logits, np.array(logits, np.float32).reshape(-1, len(LABELS))])
        self.row = np.concatenate([self.row, np.array(row, np.int32)])


def key_of(*names: str) -> str:
    """Changes when the model, its tokenizer or the code that makes windows does."""
    code = b"".join((PACKAGE / name).read_bytes() for name in ("layout.py", "settings.py", "windows.py", "normalize.py", *names))
    return hashlib.sha256((OUTPUT / "model.onnx").read_bytes() + (OUTPUT / "tokenizer.json").read_bytes() + code).hexdigest()


def context(scorer: Scorer, row: Row) -> tuple[list[int], list[int]]:
    return scorer.ids(normalize(row.system[:600]))[:PERSONA_TOKENS], scorer.ids(normalize(row.prompt[-600:]))[-USER_TOKENS:]


def cut(scorer: Scorer, row: Row, limit: int, rng: random.Random | None = None) -> list[tuple[list[int], list[int], list[int]]]:
    """At most `limit` of a row's windows, evenly or by chance; a positive's hold something of what comes after the onset."""
    cuts = stream(row.response if rng is None else row.response[:4000])
    if rng is not None:
        if row.positive and row.onset is not None:
            cuts = [c for c in cuts if c[1] > row.onset + 20] or cuts[-1:]
        cuts = rng.sample(cuts, min(limit, len(cuts)))
    elif len(cuts) > limit:
        cuts = [cuts[round(k * (len(cuts) - 1) / (limit - 1))] for k in range(limit)]
    persona, user = context(scorer, row)
    found = []
    for a, b in cuts:
        ids = scorer.ids(normalize(row.response[a:b]))
        found += [(persona, user, ids[c:d]) for c, d in runs(len(ids)) if d > c]
    return found


def training(count: int) -> Windows:
    """`count` windows of the training split with their logits."""
    path, key = BUILD / "distil.npz", key_of("sampler.py", "distil.py")
    kept = Windows.load(path, key)
    if len(kept) >= count:
        return kept
    scorer = Scorer()
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train"]
    rng = random.Random(SEED + len(kept))
    sampler = Sampler(rows, scorer.tokenizer, SEED + len(kept) + 1, lexicon=read_lexicon())
    by_source: dict[tuple[bool, str], list[Row]] = {}
    for row in rows:
        by_source.setdefault((row.positive, row.source), []).append(row)
    # Small sources are drawn from more often than their size says.
    groups = {kind: [group for (positive, _), group in sorted(by_source.items()) if positive == kind] for kind in (False, True)}
    weights = {kind: [len(group) ** 0.5 for group in found] for kind, found in groups.items()}
    progress = tqdm(total=count, initial=len(kept), desc="windows to learn from", mininterval=20)
    while len(kept) < count:
        parts, logits, owners = [], [], []
        while len(parts) < EVERY:
            if rng.random() < DRAWN:
                fresh = []
                for ids, head, _, _ in sampler.draw():
                    first = ids.index(SEP)
                    fresh.append((ids[1:first], ids[first + 1 : head - 1], ids[head:-1]))
            else:
                kind = rng.random() < COLLAPSED
                row = rng.choice(rng.choices(groups[kind], weights[kind])[0])
                if rng.random() < 0.12:  # as where a persona or a prompt is missing
                    row = Row(**{**row.__dict__, rng.choice(["system", "prompt"]): ""})
                fresh = cut(scorer, row, 1, rng)
            fresh = [f for f in fresh if f[2]]
            parts += fresh
            logits += [scorer.window(*f) for f in fresh]
            owners += [-1] * len(fresh)
        kept.add(parts, logits, owners)
        kept.save(path, key)
        progress.update(len(parts))
    progress.close()
    return kept


def dev(chosen: list[int], rows: list[Row], name: str, limit: int = 6) -> Windows:
    """The windows of these rows of dev; `row` says whose they are."""
    key = hashlib.sha256((key_of("devset.py") + " ".join(rows[i].id for i in chosen)).encode()).hexdigest()
    path = BUILD / f"dev-windows-{name}.npz"
    kept = Windows.load(path, key)
    todo = [i for i in chosen if i > (kept.row[-1] if len(kept) else -1)]
    scorer = Scorer() if todo else None
    for start in range(0, len(todo), 200):
        parts, owners = [], []
        for i in todo[start : start + 200]:
            found = cut(scorer, rows[i], limit)
            parts += found
            owners += [i] * len(found)
        kept.add(parts, [scorer.window(*p) for p in tqdm(parts, desc=f"{name}: row {start} of {len(todo)}", mininterval=20)], owners)
        kept.save(path, key)
    return kept
