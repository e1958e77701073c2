"""Step 1: cuts the vocabulary to what is used, writes the tokenizer and the encoder's first weights into the build folder."""

from __future__ import annotations

from collections import Counter

import numpy as np

from . import base, sources, tokenizer
from .settings import BUILD, DATA, VOCABULARY


def run() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train"]
    print(f"prepare: {len(rows)} training rows")
    for (source, positive), number in sorted(Counter((r.source, r.positive) for r in rows).items()):
        print(f"  {source:32} {'positive' if positive else 'benign':9} {number}")
    if not any(r.source == "authored" for r in rows):
        raise SystemExit(f"no training data under {DATA}: set STEADFAST_SHARED to the folder that holds data/")
    facts, pieces, tensors = base.load()

    def texts():
        for row in rows:
            for text in (row.system[:300], row.prompt[:600], row.response[:2500]):
                if text:
                    yield row.lang, text

    kept = tokenizer.keep(pieces, texts(), VOCABULARY)
    built = tokenizer.build(kept)
    built.save(str(BUILD / "tokenizer.json"), pretty=False)
    table = tensors["emb.word"]
    # The pretrained <s>, </s>, <unk>, <pad> and <mask> lend their vectors to our special tokens.
    special = [table[1], table[3], table[0], table[2], table[250001]]
    word = np.concatenate([np.stack(special), table[[i for i, _, _ in kept]]]).astype(np.float32)
    np.savez(BUILD / "base.npz", word=word, **{k: v for k, v in tensors.items() if k != "emb.word"})
    np.save(BUILD / "facts.npy", np.array([facts], dtype=object), allow_pickle=True)
    unknown = Counter()
    total = Counter()
    for lang, text in texts():
        if total[lang] > 400_000:
            continue
        ids = built.encode(text, add_special_tokens=False).ids
        total[lang] += len(ids)
        unknown[lang] += ids.count(tokenizer.UNK)
    for lang in sorted(total):
        print(f"  {lang}: {100 * unknown[lang] / total[lang]:.2f} % unknown tokens")
    print(f"prepare: vocabulary {word.shape[0]}, tokenizer {(BUILD / 'tokenizer.json').stat().st_size / 1e6:.2f} MB")
