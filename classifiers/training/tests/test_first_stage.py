"""The first stage's arithmetic against what the gateway's own tests expect of it."""

import unittest

import numpy as np

from steadfast_training import ngrams

SHAPE = {"shortest": 2, "longest": 4, "block": 40}


def logit(text, fill=10, **shape):
    return ngrams.logit(text, np.full(4096, fill, np.int8), 0.05, -3.0, **{**SHAPE, **shape})


class Ngrams(unittest.TestCase):
    def test_each_n_gram_counts_once_for_each_time(self):
        self.assertAlmostEqual(logit("ab"), -3.0 + 0.05 * 60 / 6**0.5, places=6)
        self.assertEqual(logit("ab"), logit("\n AB\t\u3000 "))
        self.assertGreater(logit("abc"), logit("ab"))

    def test_a_text_too_short_to_tell_is_looked_at(self):
        self.assertEqual(logit("", shortest=4), np.inf)
        self.assertEqual(logit("a", shortest=4), np.inf)
        self.assertLess(logit("ab", -128, shortest=4), -3.0)

    def test_one_bad_passage_is_not_thinned_out(self):
        table = np.zeros(4096, np.int8)
        for bucket in ngrams.passages("zzzzzzzzzz", 4096, 3, 3, 40)[0]:
            table[bucket] = 127
        for before, after in ((0, 90), (90, 0), (45, 45), (46, 44)):
            text = "fine weather " * before + "zzzzzzzzzz" + " fine weather" * after
            self.assertGreater(ngrams.logit(text, table, 0.05, -3.0, 3, 3, 40), 1.0)

    def test_passages_hold_every_n_gram(self):
        text = "the quick brown fox " * 20
        letters = len(ngrams.letters(text))
        for length in (2, 3, 5):
            parts = ngrams.passages(text, 4096, length, length, 40)
            inner = sum(len(p) for p in parts)
            self.assertGreaterEqual(inner, letters - length + 1)


if __name__ == "__main__":
    unittest.main()
