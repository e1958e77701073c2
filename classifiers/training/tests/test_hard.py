"""Checks of how pairs are drawn by what a continued model still gets wrong. `python -m unittest discover tests` in the folder above; no data needed."""

import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from steadfast_training import hard
from steadfast_training.sampler import Sampler
from steadfast_training.settings import INDEX, LABELS
from steadfast_training.sources import Row
from steadfast_training.version import sha256

from test_pipeline import small_tokenizer


def row(name, labels, response="text"):
    return Row(id=f"{name}{'p' if labels else 'n'}", source="authored", license="CC0-1.0", lang="en", system="", prompt="", response=response, labels=labels, split="train", complete=True, pair=name)


class Hard(unittest.TestCase):
    def logits(self, hate):
        out = np.full(len(LABELS), -6.0)
        out[INDEX["hate"]] = hate
        return out

    def test_a_pair_that_is_parted_with_ease_is_easy_and_a_swapped_one_is_hardest(self):
        columns = [INDEX["hate"]]
        parted, near, swapped = (hard.weight(self.logits(bad), self.logits(fine), columns) for bad, fine in ((7, -7), (1.0, -0.5), (-5, 5)))
        self.assertAlmostEqual(parted, hard.EASIEST, delta=0.01)
        self.assertTrue(parted < 1 < near < swapped == hard.HARDEST, (parted, near, swapped))

    def test_only_the_labels_of_the_collapse_count(self):
        other = self.logits(7)
        other[INDEX["despair"]] = 9.0
        self.assertLess(hard.weight(other, self.logits(-7), [INDEX["hate"]]), 0.3)

    def test_the_last_window_of_a_long_answer_is_what_is_scored(self):
        text = "word " * 400 + "the end"
        self.assertTrue(hard.last(row("a", [], text)).endswith("the end"))
        self.assertLess(len(hard.last(row("a", [], text))), len(text))

    def test_hard_pairs_are_drawn_more_and_unknown_ones_count_one(self):
        pairs = [row(name, labels) for name in ("easy", "new", "wrong") for labels in (["hate"], [])]
        sampler = Sampler(pairs, small_tokenizer(), 1, hardness={"easy": 0.25, "wrong": 2.0})
        drawn = [sampler._pair()[0].pair for _ in range(3000)]
        share = {name: drawn.count(name) / 3000 for name in ("easy", "new", "wrong")}
        for name, expected in (("easy", 0.25), ("new", 1.0), ("wrong", 2.0)):
            self.assertAlmostEqual(share[name], expected / 3.25, delta=0.04)


    def test_what_was_found_of_another_model_counts_no_more(self):
        with tempfile.TemporaryDirectory() as folder:
            file, model = Path(folder) / "hardness.json", Path(folder) / "continued.onnx"
            with mock.patch.multiple(hard, FILE=file, MODEL=model):
                self.assertEqual(hard.read(), {})
                model.write_bytes(b"one")
                file.write_text(json.dumps({"model": sha256(model), "weights": {"a": 0.25}}))
                self.assertEqual(hard.read(), {"a": 0.25})
                model.write_bytes(b"another")
                self.assertEqual(hard.read(), {})
                model.unlink()
                self.assertEqual(hard.read(), {})


if __name__ == "__main__":
    unittest.main()
