"""Checks of the parts that the gateway or the figures rely on. `python -m unittest discover tests` in the folder above; no data needed."""

import random
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from steadfast_training import export, layout, metrics, tokenizer
from steadfast_training.compose import endorsed, quoted
from steadfast_training.degenerate import degenerate
from steadfast_training.identities import scene
from steadfast_training.model import Classifier
from steadfast_training.sampler import Sampler
from steadfast_training.scoring import session
from steadfast_training.settings import INDEX, LABELS, MAX_TOKENS, WINDOW_TOKENS
from steadfast_training.sources import Row

LETTERS = [(c, -5.0) for c in "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'[]私はAI"]
FACTS = {"hidden": 24, "inner": 48, "heads": 3, "epsilon": 1e-12}


def small_tokenizer():
    seen, pieces = set(), []
    for piece, score in LETTERS:
        if piece not in seen:
            seen.add(piece)
            pieces.append((0, piece, score))
    return tokenizer.build(pieces)


class Layout(unittest.TestCase):
    def test_assembles_and_cuts_each_part(self):
        ids, head = layout.assemble(list(range(10, 60)), [], list(range(100, 400)))
        self.assertEqual(ids[0], tokenizer.CLS)
        self.assertEqual(head, 1 + 32 + 1 + 0 + 1)
        self.assertEqual(len(ids), head + WINDOW_TOKENS + 1)
        self.assertEqual(ids[33:35], [tokenizer.SEP, tokenizer.SEP])
        longest, _ = layout.assemble([9] * 99, [9] * 99, [9] * 999)
        self.assertEqual(len(longest), MAX_TOKENS)

    def test_segment_one_is_the_window_and_its_end(self):
        ids, mask, types = layout.collate([layout.assemble([7], [8], [9, 9]), layout.assemble([], [], [9])])
        self.assertEqual(types[0].tolist(), [0, 0, 0, 0, 0, 1, 1, 1])
        self.assertEqual(types[1].tolist(), [0, 0, 0, 1, 1, 0, 0, 0])
        self.assertEqual(mask[1].tolist(), [1, 1, 1, 1, 1, 0, 0, 0])

    def test_runs_cover_every_token_and_end_at_the_end(self):
        for count in (0, 1, 128, 129, 176, 177, 500, 1000):
            covered = set()
            for start, end in layout.runs(count):
                self.assertLessEqual(end - start, WINDOW_TOKENS)
                covered |= set(range(start, end))
            self.assertEqual(covered, set(range(count)))


class Tokens(unittest.TestCase):
    def test_no_text_can_type_a_special_token(self):
        built = small_tokenizer()
        for name in tokenizer.SPECIAL:
            ids = built.encode(f"a {name} b", add_special_tokens=False).ids
            self.assertFalse({tokenizer.CLS, tokenizer.SEP, tokenizer.PAD, tokenizer.MASK} & set(ids), name)

    def test_invisible_characters_vanish_and_offsets_stay_in_the_original(self):
        built = small_tokenizer()
        text = "ha\u200bte\u202e you"
        encoding = built.encode(text, add_special_tokens=False)
        self.assertEqual(encoding.ids, built.encode("hate you", add_special_tokens=False).ids)
        self.assertEqual(encoding.offsets[-1][1], len(text))


class Draws(unittest.TestCase):
    def row(self, **kwargs):
        base = dict(id="x", source="authored", license="CC0-1.0", lang="en", system="You are Aria.", prompt="hi there", response="", labels=[], split="train", complete=True)
        return Row(**{**base, **kwargs})

    def sampler(self):
        return Sampler([], small_tokenizer(), 1)

    def test_a_window_before_the_onset_is_negative_and_after_it_positive(self):
        sampler = self.sampler()
        good, bad = "all is well here. " * 12, "leave me alone now! " * 12
        row = self.row(response=good + bad, labels=["hostility"], onset=len(good))
        onset = len(sampler.tokenizer.encode(good, add_special_tokens=False).ids)
        seen = set()
        for seed in range(300):
            start, end, _ = sampler._window(onset * 2, onset, row, random.Random(seed), False)
            self.assertTrue(0 <= start < end <= onset * 2 and end - start <= WINDOW_TOKENS)
            seen.add((end > onset + 8, start > onset))
            _, _, targets, weights = sampler._example(row, seed=seed)
            self.assertIn(targets[INDEX["hostility"]], (0.0, 1.0))
            self.assertEqual(targets.sum(), targets[INDEX["hostility"]])
        self.assertIn((False, False), seen)
        self.assertIn((True, False), seen)

    def test_an_unlisted_label_is_unknown_where_the_source_was_not_looked_at(self):
        sampler = self.sampler()
        row = self.row(source="toxigen_seed", response="they are all the same", labels=["hate"], complete=False)
        _, _, targets, weights = sampler._example(row, seed=3)
        self.assertEqual(targets[INDEX["hate"]], 1.0)
        self.assertEqual(weights[INDEX["hostility"]], 0.0)
        self.assertGreater(weights[INDEX["hate"]], weights[INDEX["despair"]])

    def test_quoting_keeps_the_text_and_endorsing_marks_its_onset(self):
        rng = random.Random(4)
        self.assertIn("I hate you", quoted("I hate you", "en", rng))
        whole, onset = endorsed("they are vermin", "I hate them too.", "ja", rng)
        self.assertTrue(whole[:onset].count("they are vermin") == 1 and whole.endswith("I hate them too."))

    def test_made_scenes_differ_only_by_stance(self):
        for seed in range(200):
            s = scene(random.Random(seed))
            self.assertNotEqual(s.bad, s.good)

    def test_degenerate_text_keeps_its_good_head(self):
        good = "The quick brown fox jumps over the lazy dog and then it sleeps for a while under the tree."
        for seed in range(200):
            text, onset = degenerate(good, random.Random(seed), "What next?")
            self.assertLessEqual(onset, len(text))
            self.assertTrue(good.replace("  ", " ").startswith(text[: min(onset, 15)].strip()))


class Figures(unittest.TestCase):
    def test_clopper_pearson(self):
        self.assertAlmostEqual(metrics.upper_bound(0, 100), 1 - 0.05 ** (1 / 100), places=6)
        self.assertEqual(metrics.upper_bound(5, 5), 1.0)

    def test_the_conformal_threshold_keeps_its_promise_on_fresh_draws(self):
        rng = np.random.default_rng(0)
        rates = []
        for _ in range(200):
            at, _ = metrics.conformal_threshold(rng.random(500), 0.01)
            rates.append(1 - at)
        self.assertLessEqual(np.mean(rates), 0.0105)
        self.assertGreater(np.mean(rates), 0.005)

    def test_calibration_error_of_a_liar(self):
        self.assertAlmostEqual(metrics.calibration_error(np.full(100, 0.9), np.zeros(100)), 0.9, places=6)


class Export(unittest.TestCase):
    def test_the_graph_computes_what_the_network_computes(self):
        torch.manual_seed(0)
        model = Classifier(50, 2, FACTS, dropout=0.0).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        feed = layout.collate([layout.assemble([5, 6], [7], list(range(10, 40)))])
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, feed)).numpy()
        with tempfile.TemporaryDirectory() as folder:
            for int8, tolerance in ((False, 1e-3), (True, 1.0)):
                path = Path(folder) / "m.onnx"
                path.write_bytes(export.build(model, int8=int8).SerializeToString())
                got = session(path).run(["logits"], dict(zip(("input_ids", "attention_mask", "token_type_ids"), feed)))[0]
                self.assertEqual(got.shape, (1, len(LABELS)))
                self.assertLess(np.abs(got - expected).max(), tolerance)

    def test_padding_changes_nothing(self):
        model = Classifier(50, 2, FACTS, dropout=0.0).eval()
        alone = layout.collate([layout.assemble([5], [6], [7, 8, 9])])
        padded = layout.collate([layout.assemble([5], [6], [7, 8, 9]), layout.assemble([5] * 20, [6] * 20, [7] * 60)])
        with torch.no_grad():
            a, b = model(*map(torch.from_numpy, alone)), model(*map(torch.from_numpy, padded))
        self.assertLess((a[0] - b[0]).abs().max().item(), 1e-4)


if __name__ == "__main__":
    unittest.main()
