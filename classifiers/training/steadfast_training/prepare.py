"""Step 1: chooses the vocabulary, writes the tokenizer and the encoder's first weights into the build folder."""

from __future__ import annotations

from collections import Counter

import numpy as np

from . import base, sources, tokenizer, vocabulary
from .normalize import normalize
from .settings import BUILD, DATA, LEXICON, VOCABULARY


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


def run() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train"]
    print(f"prepare: {len(rows)} training rows")
    for (source, positive), number in sorted(Counter((r.source, r.positive) for r in rows).items()):
        print(f"  {source:32} {'positive' if positive else 'benign':9} {number}")
    if not any(r.source == "authored" for r in rows):
        raise SystemExit(f"no training data under {DATA}: set STEADFAST_SHARED to the folder that holds data/")
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
