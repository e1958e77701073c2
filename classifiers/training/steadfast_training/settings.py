"""What every step agrees on: labels, the input layout, paths and seeds. It must not know how any step works."""

from __future__ import annotations

import os
from pathlib import Path

# In the order of the model's outputs. Names and meanings: the project's taxonomy.
LABELS = [
    "extremist_identity",
    "hate",
    "hostility",
    "malevolence",
    "human_claim",
    "sycophancy_delusion",
    "despair",
    "identity_swap",
    "base_model_regression",
    "topic_hijack",
]
INDEX = {name: i for i, name in enumerate(LABELS)}
# The labels whose default action is `block`: a false alarm here costs a user an answer.
BLOCKING = ["extremist_identity", "hate", "hostility", "malevolence"]

# [CLS] persona [SEP] user [SEP] window [SEP]
PERSONA_TOKENS = 32
USER_TOKENS = 32
WINDOW_TOKENS = 128
WINDOW_STRIDE = 48
FIRST_TOKENS = 24  # a stream's first window
# The policies' window, in tokens that the gateway estimates from characters.
POLICY_TOKENS = 128
POLICY_STRIDE = 48
MAX_TOKENS = PERSONA_TOKENS + USER_TOKENS + WINDOW_TOKENS + 4

VOCABULARY = 40_000
LAYERS = 6
SEED = 20251125

PACKAGE = Path(__file__).resolve().parent
TRAINING = PACKAGE.parent
CLASSIFIERS = TRAINING.parent
REPOSITORY = CLASSIFIERS.parent
SHARED = Path(os.environ.get("STEADFAST_SHARED", REPOSITORY.parent / "shared"))
DATA = SHARED / "data"
AUTHORED = TRAINING / "data"
LEXICON = AUTHORED / "lexicon.tsv"
INCIDENTS = TRAINING / "incidents.jsonl"
LANGUAGES = TRAINING / "languages.jsonl"
BUILD = Path(os.environ.get("STEADFAST_BUILD", TRAINING / "build"))
OUTPUT = Path(os.environ.get("STEADFAST_OUTPUT", CLASSIFIERS / "collapse"))

CREATED = "2026-12-01"
VERSION = "0.7.0"
