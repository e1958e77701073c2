"""The first stage: what its network is told of repetitions and echoes, the file it is written to, and what counts as lost."""

import types
import unittest

import numpy as np
import torch

from steadfast_training import distil, student
from steadfast_training.first_stage import Half
from steadfast_training.settings import LABELS
from steadfast_training.tokenizer import CLS, SEP, UNK

A, B, C = 10, 11, 12


def small(layers: int = 3) -> student.Student:
    torch.manual_seed(1)
    net = student.Student(np.random.default_rng(1).normal(0, 0.5, (40, 6)).astype(np.float32), hidden=12, layers=layers)
    for p in net.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    return net.eval()


def one(ids: list[int]):
    ids = np.array(ids)
    mark = student.marks(ids)
    return ids, mark, student.facts(ids, mark)


class Marks(unittest.TestCase):
    # src/infer/student/marks.rs has the same examples.
    def test_a_token_is_marked_by_where_it_stood_before(self):
        ids, mark, fact = one([CLS, A, B, SEP, B, SEP, A, A, C, B, C, B, SEP])
        self.assertEqual(mark[0].tolist(), [0] * 4 + [1] * 2 + [2] * 7)
        self.assertEqual(mark[1].tolist()[6:], [0, 1, 0, 0, 2, 2, 0])
        self.assertEqual(mark[2].tolist()[6:], [0, 1, 0, 0, 1, 2, 0])
        self.assertEqual(mark[3].tolist(), [1, 1, 3, 3, 3, 3, 1, 1, 0, 3, 0, 3, 3])
        expected = [7 / 128, 3 / 7, 1 / 7, 0, 0, 0, 3 / 7, 1 / 7, 5 / 7, 3 / 7, 0, 4 / 32, 2 / 32]
        np.testing.assert_allclose(fact, expected, rtol=1e-6)

    def test_a_loop_is_a_run_that_grows(self):
        _, mark, _ = one([CLS, SEP, SEP, 7, 8, 9, 7, 8, 9, 7, 8, 5, 8, 9, 9, SEP])
        self.assertEqual(mark[1].tolist()[3:15], [0, 0, 0, 3, 3, 3, 3, 3, 0, 2, 5, 1])
        self.assertEqual(mark[2].tolist()[3:15], [0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 1])

    def test_what_no_token_covers_is_counted(self):
        _, _, fact = one([CLS, SEP, SEP, A, UNK, UNK, SEP])
        self.assertAlmostEqual(fact[10], 2 / 4)

    def test_distances_fall_into_buckets(self):
        distances = torch.tensor([0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 190])
        self.assertEqual(student.bucket(distances).tolist(), [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8])


class Network(unittest.TestCase):
    def test_a_window_has_the_same_logit_alone_and_among_longer_ones(self):
        net, short, long = small(), one([CLS, A, SEP, SEP, B, C, SEP]), one([CLS, SEP, B, SEP, *[A, B, C] * 12, SEP])
        with torch.no_grad():
            together = net(*student.batch([short, long]))
            for k, alone in enumerate((short, long)):
                np.testing.assert_allclose(net(*student.batch([alone]))[0], together[k], atol=1e-4)

    def test_the_context_counts(self):
        net = small()
        with torch.no_grad():
            asked, other = (net(*student.batch([one([CLS, SEP, user, SEP, B, C, SEP])])) for user in (A, B))
        self.assertGreater(float((asked - other).abs().max()), 1e-3)

    def test_the_file_has_the_numbers_of_the_network(self):
        for layers in (1, 3):
            net = small(layers)
            before = net.word.weight.detach().clone()
            data = student.pack(net)
            count = sum(p.numel() for n, p in net.named_parameters() if n != "word.weight")
            # A step for each column, and a bias of 0 for attention.
            self.assertEqual(len(data), 40 * 6 + 4 * (count + 6 + len(LABELS)))
            steps = np.frombuffer(data, "<f4", 6, 40 * 6)
            table = np.frombuffer(data, np.int8, 40 * 6).reshape(40, 6)
            np.testing.assert_allclose(table * steps, net.word.weight.detach(), rtol=1e-6)
            self.assertLess(float((net.word.weight.detach() - before).abs().max()), float(steps.max()) * 0.51)
            last = np.frombuffer(data, "<f4")[-len(LABELS) :] if len(data) % 4 == 0 else None
            np.testing.assert_array_equal(last, net.last.bias.detach())


class Lost(unittest.TestCase):
    def test_an_answer_is_lost_if_no_window_that_would_be_raised_is_looked_at(self):
        half = Half.__new__(Half)
        half.owner, half.raised = np.array([1, 1, 2, 3]), np.array([0.0, 2.0, 0.5, 3.0])
        half.benign, half.collapses = np.array([-1.0, 0.0, 1.5, -2.0]), 10
        found = half.figures(1.0)
        self.assertEqual((found["caught"], found["lost"], found["points_lost"]), (3, 1, 10.0))
        self.assertEqual((found["share_of_windows_lost"], found["escalated"]), (0.5, 0.25))


class Kept(unittest.TestCase):
    def test_windows_are_read_back_as_they_were_unless_they_were_made_otherwise(self):
        import tempfile
        from pathlib import Path

        windows = distil.Windows([([1], [], [5, 6]), ([], [2, 3], [40_000 - 1])], np.ones((2, len(LABELS)), np.float32), np.array([4, -1], np.int32))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "windows.npz"
            windows.save(path, "key")
            again = distil.Windows.load(path, "key")
            self.assertEqual([tuple(map(list, parts)) for parts in again.parts], windows.parts)
            self.assertEqual(again.row.tolist(), [4, -1])
            self.assertEqual(len(distil.Windows.load(path, "another")), 0)

    def test_a_positives_windows_hold_something_of_its_collapse(self):
        import random

        text = "word " * 200 + "collapse " * 30
        row = types.SimpleNamespace(system="", prompt="", response=text, positive=True, onset=1000)
        scorer = types.SimpleNamespace(ids=lambda part: [7 if w == "collapse" else 8 for w in part.split()])
        for seed in range(20):
            (_, _, window), *_ = distil.cut(scorer, row, 1, random.Random(seed))
            self.assertIn(7, window)


if __name__ == "__main__":
    unittest.main()
