"""Holds the normalisation to the file that the gateway's own test reads. Needs nothing but Python."""

import importlib.util
import json
import random
import unittest
from pathlib import Path

HERE = Path(__file__).parent
# By its path, so that it can be tested where torch is not installed.
SPEC = importlib.util.spec_from_file_location("normalize", HERE.parent / "steadfast_training" / "normalize.py")
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
normalize = MODULE.normalize

ROWS = [json.loads(line) for line in (HERE / "normalisation.jsonl").read_text(encoding="utf-8").splitlines()]


class Normalisation(unittest.TestCase):
    def test_gives_what_the_file_says(self):
        self.assertGreaterEqual(len(ROWS), 80)
        for row in ROWS:
            with self.subTest(row["text"]):
                self.assertEqual(normalize(row["text"]), row["normal"])

    def test_is_idempotent_and_total(self):
        chance = random.Random(7)
        for _ in range(3000):
            rows = [chance.choice(ROWS)["text"] for _ in range(2)]
            text = "".join(chance.choice((rows[0], rows[1], " .-'\u0301\u200b4@$!aeklt"))[n % 7 :][: chance.randint(1, 4)] for n in range(12))
            once = normalize(text)
            self.assertEqual(normalize(once), once, text)

    def test_twins_are_pairs(self):
        for table in (MODULE._CYRILLIC, MODULE._OTHERS):
            self.assertTrue(all(not a.isascii() and b.isascii() and b.isalpha() for a, b in zip(table[::2], table[1::2])))


if __name__ == "__main__":
    unittest.main()
