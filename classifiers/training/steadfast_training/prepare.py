"""Step 1: writes the tokenizer and the network's first weights into the build folder.

From the pretrained encoder, with a vocabulary of its own; or from a shipped classifier, whose tokenizer and weights are kept.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from . import base, shipped, sources, tokenizer, vocabulary
from .normalize import normalize
from .renew import renew
from .settings import BUILD, DATA, LEXICON, VOCABULARY

# How far the restored network's logits may be from the shipped model's. They differ by the activations, which only the latter rounds to
# bytes; a tensor in the wrong place moves them by several units.
CLOSE = 0.35
PROOF = 64  # rows


def read_lexicon() -> list[tuple[str, str, str]]:
    """Lines of language, word and English gloss, parted by tabs."""
    out = []
    for number, line in enumerate(LEXICON.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            fields = line.split("\t")
            if len(fields) != 3:
                raise SystemExit(f"{LEXICON.name}:{number}: {len(fields)} fields; each line is language, word, gloss, parted by tabs")
            out.append((fields[0], fields[1], fields[2]))
    return out


def run(continue_from: Path | None = None, renewed: bool = False) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train"]
    print(f"prepare: {len(rows)} training rows")
    for (source, positive), number in sorted(Counter((r.source, r.positive) for r in rows).items()):
        print(f"  {source:32} {'positive' if positive else 'benign':9} {number}")
    if not any(r.source == "authored" for r in rows):
        raise SystemExit(f"no training data under {DATA}: set STEADFAST_SHARED to the folder that holds data/")
    if continue_from is None:
        pretrained(rows)
    else:
        restored(continue_from, rows, renewed)


def pretrained(rows: list[sources.Row]) -> None:
    (BUILD / "continued.onnx").unlink(missing_ok=True)
    facts, words, tensors = base.load()
    texts = [(row.lang, normalize(text)) for row in rows for text in (row.system[:300], row.prompt[:600], row.response[:2000]) if text]
    lexicon = read_lexicon()
    chosen = vocabulary.choose(words, tensors["emb.word"], lexicon, texts, VOCABULARY)
    built = tokenizer.build(chosen.pieces)
    built.save(str(BUILD / "tokenizer.json"), pretty=False)
    np.savez(BUILD / "base.npz", word=chosen.table, new=chosen.new, **{k: v for k, v in tensors.items() if k != "emb.word"})
    np.save(BUILD / "facts.npy", np.array([facts], dtype=object), allow_pickle=True)
    unknown, total, letters = Counter(), Counter(), Counter()
    for lang, text in texts:
        if total[lang] > 200_000:
            continue
        ids = built.encode(text, add_special_tokens=False).ids
        total[lang] += len(ids)
        letters[lang] += len(text)
        unknown[lang] += ids.count(tokenizer.UNK)
    for lang in sorted(total):
        print(f"  {lang}: {letters[lang] / total[lang]:.2f} characters a token, {100 * unknown[lang] / total[lang]:.2f} % unknown")
    print(f"prepare: vocabulary {chosen.table.shape[0]}, {int(chosen.new.sum())} new, lexicon {len(lexicon)} words, tokenizer {(BUILD / 'tokenizer.json').stat().st_size / 1e6:.2f} MB")


def restored(folder: Path, rows: list[sources.Row], renewed: bool = False) -> None:
    """Goes on from a shipped classifier: its tokenizer, in which words new to the lexicon may take the place of unused pieces, and its int8 weights as numbers."""
    for name in ("model.onnx", "tokenizer.json"):
        if not (folder / name).exists():
            raise SystemExit(f"{folder / name} is missing: --continue-from takes a classifier's folder, like ../collapse")
    tensors = shipped.read(folder / "model.onnx")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (BUILD / "tokenizer.json").write_text(text, encoding="utf-8")
    (BUILD / "continued.onnx").write_bytes((folder / "model.onnx").read_bytes())  # for the sieve
    pieces = [piece for piece, _ in json.loads(text)["model"]["vocab"]]
    facts, words, pretrained_tensors = base.load()
    known = vocabulary.read_words(words, pretrained_tensors["emb.word"])
    new = np.array([piece not in known and piece not in tokenizer.SPECIAL for piece in pieces])
    table = tensors.pop("emb.word")

    def save() -> None:
        np.savez(BUILD / "base.npz", word=table, new=new, **tensors)

    save()
    np.save(BUILD / "facts.npy", np.array([facts], dtype=object), allow_pickle=True)
    print(f"prepare: continues {folder.name}, vocabulary {len(pieces)}, {int(new.sum())} of it not pretrained")
    prove(folder, rows)
    if renewed:
        rank = {piece: at for at, piece in enumerate(known)}
        fresh = renew(text, table, rank, read_lexicon(), rows)
        table = fresh.table
        new[fresh.rows] = True
        (BUILD / "tokenizer.json").write_text(fresh.tokenizer, encoding="utf-8")
        (BUILD / "continued.onnx").unlink()  # it reads other pieces
        save()


def prove(folder: Path, rows: list[sources.Row]) -> None:
    """Scores the same windows with the restored network and with the shipped model, and stops if they are not the same model."""
    import torch

    from .layout import assemble, collate
    from .scoring import Scorer
    from .settings import LABELS, WINDOW_TOKENS
    from .train import fresh_model

    model = fresh_model(dropout=0.0).eval()
    scorer = Scorer(folder / "model.onnx", folder / "tokenizer.json")
    picked = np.random.default_rng(0).permutation(len(rows))[:PROOF]
    ours, theirs = [], []
    for row in (rows[i] for i in picked):
        parts = [scorer.ids(normalize(part)) for part in (row.system[:600], row.prompt[-600:], row.response[:600])]
        theirs.append(scorer.window(*parts))
        feed = collate([assemble(*(part[:WINDOW_TOKENS] if i == 2 else part for i, part in enumerate(parts)))])
        with torch.no_grad():
            ours.append(model(*map(torch.from_numpy, feed)).numpy()[0])
    distance = np.abs(np.array(ours) - np.array(theirs))
    print(f"prepare: restored and shipped logits on {len(picked)} windows x {len(LABELS)} labels: mean distance {distance.mean():.3f}, largest {distance.max():.3f}")
    if distance.mean() > CLOSE:
        raise SystemExit(f"{folder / 'model.onnx'}: the restored network is another one (mean distance {distance.mean():.2f}); was it written by this export?")
