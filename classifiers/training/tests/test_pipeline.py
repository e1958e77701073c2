"""Checks of the parts that the gateway or the figures rely on. `python -m unittest discover tests` in the folder above; no data needed."""

import itertools
import random
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from steadfast_training import export, golden, layout, metrics, renew, shipped, tokenizer, train, vocabulary, windows
from steadfast_training.benign import odd
from steadfast_training.compose import endorsed, quoted
from steadfast_training.degenerate import degenerate
from steadfast_training.frames import framed
from steadfast_training.identities import scene
from steadfast_training.model import Classifier
from steadfast_training.sampler import Sampler
from steadfast_training.scoring import session
from steadfast_training.sieve import Sieve
from steadfast_training.settings import INDEX, LABELS, MAX_TOKENS, VERSION, WINDOW_TOKENS
from steadfast_training.sources import Row
from steadfast_training.switch import Switch
from steadfast_training.table import LazyAdam
from steadfast_training.tail import Tail
from steadfast_training.usurpers import cast, usurper
from steadfast_training.version import sha256, version_of

LETTERS = "▁abcdefghijklmnopqrstuvwxyz.,!?'[]私は人間です"
FACTS = {"hidden": 24, "inner": 48, "heads": 3, "epsilon": 1e-12}


def small_tokenizer(*more):
    letters = list(dict.fromkeys(LETTERS))
    return tokenizer.build([(c, 0.1) for c in letters] + [("▁" + c, 0.1) for c in letters if c != "▁"] + [(piece, 0.0) for piece in more])


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

    def test_words_new_to_the_lexicon_take_the_rows_of_unused_pieces(self):
        built = small_tokenizer("▁hate", "▁furnace", "▁people", "さくら", "▁perro")
        pieces = [piece for piece, _ in built.get_vocab().items()]
        before = sorted(built.get_vocab(), key=built.get_vocab().get)
        table = np.arange(len(pieces) * 2, dtype=np.float32).reshape(-1, 2)
        rows = [Row("x", "x", "CC0-1.0", "en", "", "", "hate people", [], "train", True)] * 3
        lexicon = [("es", "perro", "people"), ("ru", "ненавижу", "hate"), ("hi", "लोगों", "people"), ("ja", "さくら", "people"), ("fr", "d'abord", "hate"), ("it", "odio", "hate people")]
        found = renew.renew(built.to_str(), table, {"▁furnace": 7}, lexicon, rows)
        # Free are the English word that nothing uses, and the Japanese one; a lexicon's word and what texts use keep their rows.
        self.assertEqual({before[i] for i in found.rows}, {"▁furnace", "さくら"})
        self.assertEqual((len(found.words), found.left_out), (2, 1))
        self.assertEqual(found.words, ["▁ненавижу", "▁लोगों"])
        at = dict(zip(found.words, found.rows))
        self.assertTrue((found.table[at["▁ненавижу"]] == table[before.index("▁hate")]).all())
        again = tokenizer.Tokenizer.from_str(found.tokenizer)
        self.assertEqual(again.encode("ненавижу लोगों", add_special_tokens=False).tokens, ["▁ненавижу", "▁लोगों"])
        kept = [i for i in range(len(pieces)) if i not in found.rows]
        self.assertTrue((found.table[kept] == table[kept]).all())

    def test_invisible_characters_vanish_and_offsets_stay_in_the_original(self):
        built = small_tokenizer()
        text = "ha\u200bte\u202e you"
        encoding = built.encode(text, add_special_tokens=False)
        self.assertEqual(encoding.ids, built.encode("hate you", add_special_tokens=False).ids)
        self.assertEqual(encoding.offsets[-1][1], len(text))


    def test_reads_the_fewest_pieces_and_parts_words_punctuation_and_scripts(self):
        built = small_tokenizer("▁human", "人間です", "▁hu")
        self.assertEqual(built.encode("A HÜMÁN's 人間です。ai", add_special_tokens=False).tokens[:4], ["▁a", "▁human", "▁'", "▁s"])
        self.assertEqual(built.encode("humans人間です!", add_special_tokens=False).tokens, ["▁human", "s", "▁", "人間です", "▁!"])

    def test_a_piece_is_folded_as_a_text_is(self):
        built = small_tokenizer()
        for text in ("Straße", "É", "ガ", "가다", "ﬁne", "Ａ"):
            self.assertEqual(built.normalizer.normalize_str(text), tokenizer.fold(text))


class Words(unittest.TestCase):
    TEXTS = [("en", "the cat sat. " * 40), ("ja", "私は猫です。私は人間です。" * 40), ("de", "der Hund und die Katze " * 9)]
    LEXICON = [("ja", "人間", "human"), ("ja", "猫", "cat"), ("de", "Hund", "dog"), ("de", "die", "the"), ("fr", "chien", "dog")]

    def chosen(self):
        words = [*tokenizer.SPECIAL, *"abcdefghijklmnopqrstuvwxyz", "the", "cat", "sat", "dog", "human", "die", ".", "##s", "##at"]
        table = np.arange(len(words) * 4, dtype=np.float32).reshape(-1, 4)
        words, table = words + [f"[unused{i}]" for i in range(1000)], np.concatenate([table, np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)])
        return words, table, vocabulary.choose(words, table, self.LEXICON, self.TEXTS, 400)

    def row(self, chosen, piece):
        return len(tokenizer.SPECIAL) + [p for p, _ in chosen.pieces].index(piece)

    def test_a_word_of_the_lexicon_begins_as_its_gloss_and_an_english_one_as_itself(self):
        words, table, chosen = self.chosen()
        np.testing.assert_array_equal(chosen.table[self.row(chosen, "人間")], table[words.index("human")])
        np.testing.assert_array_equal(chosen.table[self.row(chosen, "▁chien")], table[words.index("dog")])
        np.testing.assert_array_equal(chosen.table[self.row(chosen, "▁cat")], table[words.index("cat")])
        self.assertTrue(chosen.new[self.row(chosen, "人間")])
        self.assertFalse(chosen.new[self.row(chosen, "▁cat")])

    def test_a_character_begins_as_the_words_that_hold_it(self):
        words, table, chosen = self.chosen()
        np.testing.assert_array_equal(chosen.table[self.row(chosen, "間")], table[words.index("human")])

    def test_every_piece_can_be_read(self):
        _, _, chosen = self.chosen()
        built = tokenizer.build(chosen.pieces)
        self.assertEqual(len(chosen.pieces) + len(tokenizer.SPECIAL), chosen.table.shape[0])
        self.assertEqual(len({p for p, _ in chosen.pieces}), len(chosen.pieces))
        self.assertIn("人間", built.encode("猫は人間", add_special_tokens=False).tokens)


class Windows(unittest.TestCase):
    def test_estimates_as_the_gateway_does(self):
        for text, count in (("Hello, world.", 4), ("こんにちは", 5), ("internationalisation", 3), ("   ", 0), ("été", 1)):
            self.assertEqual(len(windows.starts(text)), count, text)

    def test_a_stream_begins_with_a_short_window_and_covers_all(self):
        text = "".join(f"w{i % 10} " for i in range(300))
        cuts = windows.stream(text)
        self.assertEqual([len(windows.starts(text[a:b])) for a, b in cuts[:4]], [24, 72, 120, 128])
        self.assertEqual(cuts[-1][1], len(text))
        self.assertTrue(all(a <= before for (a, _), (_, before) in zip(cuts[1:], cuts)))
        self.assertEqual(windows.stream("one two"), [(0, 7)])

    def test_an_answer_at_once_overlaps_by_the_stride(self):
        text = "".join(f"w{i % 10} " for i in range(300))
        cuts = windows.whole(text)
        self.assertEqual([len(windows.starts(text[a:b])) for a, b in cuts], [128, 128, 128])
        self.assertEqual(cuts[1][0], 80 * 3)


class Made(unittest.TestCase):
    def test_a_frame_is_the_same_round_both_twins_and_marks_the_onset(self):
        for seed in range(200):
            (bad, onset), (fine, _) = framed([("All done.\nI will \"end\" you.", 10), ("All done.\nI will end the job.", 0)], random.Random(seed))
            self.assertTrue(bad[onset:].startswith("I will"), bad)
            self.assertEqual(bad[: bad.index("All done.")], fine[: fine.index("All done.")])

    def test_odd_answers_are_many_and_not_empty(self):
        made = [odd(random.Random(seed)) for seed in range(300)]
        self.assertTrue(all(text.strip() for text in made))
        self.assertGreater(len(set(made)), 295)

    def test_a_switch_changes_words_of_the_lexicon_only(self):
        table = Switch([("de", f"wort{i}", f"word{i}") for i in range(300)] + [("de", "hund", "dog"), ("de", "gehen", "to go")])
        self.assertEqual(set(table.apply("dog, dogma! " * 20, random.Random(1)).split()) - {"dog,"}, {"hund,", "dogma!"})


class TableRows(unittest.TestCase):
    def test_only_touched_rows_move_and_each_at_its_rate(self):
        weight = torch.nn.Parameter(torch.zeros(4, 3))
        table = LazyAdam(weight, torch.tensor([0.0, 0.1, 0.2, 0.3]))
        weight.grad = torch.sparse_coo_tensor(torch.tensor([[1, 2]]), torch.ones(2, 3), (4, 3))
        self.assertEqual(table.step(0.5).tolist(), [1, 2])
        torch.testing.assert_close(weight.detach()[:, 0], torch.tensor([0.0, -0.05, -0.1, 0.0]))


class Tails(unittest.TestCase):
    def test_the_line_is_a_quantile_of_harmless_windows_alone(self):
        tail = Tail(2, torch.device("cpu"), keep=1000, rate=0.01, least=400)
        logits = torch.arange(500.0).repeat(2, 1).T
        targets = torch.zeros(500, 2)
        targets[-100:, 1] = 1.0  # not harmless: neither label may remember them
        self.assertTrue(torch.isinf(tail.line()).all())
        tail.remember(logits, targets, torch.ones(500, 2))
        self.assertEqual(tail.line().tolist(), [396.0, 396.0])

    def test_only_windows_near_the_line_pull(self):
        tail = Tail(1, torch.device("cpu"), keep=1000, rate=0.01, least=400)
        tail.remember(torch.linspace(-9, 0, 900)[:, None], torch.zeros(900, 1), torch.ones(900, 1))
        logits = torch.tensor([[-8.0], [0.5], [-3.0], [5.0]], requires_grad=True)
        targets = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
        tail.loss(logits, targets, torch.ones(4, 1)).backward()
        low, high, missed, caught = logits.grad[:, 0].tolist()
        self.assertEqual(low, 0.0)
        self.assertGreater(high, 0.1)
        self.assertLess(missed, -0.1)
        self.assertGreater(caught, missed)

    def test_memory_goes_round(self):
        tail = Tail(1, torch.device("cpu"), keep=500, rate=0.01, least=400)
        for value in (9.0, 1.0, 1.0):
            tail.remember(torch.full((400, 1), value), torch.zeros(400, 1), torch.ones(400, 1))
        self.assertEqual(tail.line().tolist(), [1.0])


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

    def test_a_usurper_names_itself_and_its_twin_does_not(self):
        labels_seen, personas = set(), set()
        for seed in range(300):
            s, labels = usurper(random.Random(seed))
            self.assertNotEqual(s.bad, s.good)
            self.assertNotIn("{", s.bad + s.good)
            self.assertEqual("identity_swap" in labels, bool(s.system) or labels == ["identity_swap"])
            labels_seen |= set(labels)
            personas.add(bool(s.system))
        self.assertEqual(labels_seen, {"extremist_identity", "identity_swap"})
        self.assertEqual(personas, {True, False})

    def test_a_played_villain_is_in_character_and_an_assistant_is_not(self):
        sampler = self.sampler()
        row = self.row(response="get out of my sight, you worthless fool, before i throw you out", labels=["hostility"], onset=0)
        sampler.rough = [row]
        for seed in range(20):
            sampler.rng = random.Random(seed)
            bad, fine = sampler._cast()
            self.assertEqual(fine[2].sum(), 0)
            self.assertEqual(bad[2][INDEX["hostility"]], 1)
        self.assertIn("villain", " ".join(cast("en", random.Random(seed)) for seed in range(40)))

    def test_degenerate_text_keeps_its_good_head(self):
        good = "The quick brown fox jumps over the lazy dog and then it sleeps for a while under the tree."
        for seed in range(200):
            text, onset = degenerate(good, random.Random(seed), "What next?")
            self.assertLessEqual(onset, len(text))
            self.assertTrue(good.replace("  ", " ").startswith(text[: min(onset, 15)].strip()))


class Sieves(unittest.TestCase):
    def sieve(self, scores):
        """A sieve over a sampler of one draw, with a model that gives the scores in turn."""
        sieve = Sieve.__new__(Sieve)
        sieve.rng, sieve.seen, sieve.kept = random.Random(0), 0, 0
        turns = itertools.cycle(scores)
        sieve.logits = lambda example: next(turns)
        return sieve

    def example(self, label=None):
        targets = np.zeros(len(LABELS), np.float32)
        if label:
            targets[INDEX[label]] = 1
        return ([5], 1, targets, np.ones(len(LABELS), np.float32))

    def scores(self, label=None, at=-9.0):
        out = np.full(len(LABELS), -9.0)
        if label:
            out[INDEX[label]] = at
        return out

    def test_a_right_answer_has_no_loss_and_a_wrong_one_has(self):
        self.assertLess(self.sieve([self.scores()]).loss([self.example()]), 0.05)
        self.assertGreater(self.sieve([self.scores("hate", 3.0)]).loss([self.example()]), 2.0)
        self.assertGreater(self.sieve([self.scores()]).loss([self.example("hate")]), 2.0)

    def test_twins_in_the_wrong_order_are_hard_though_each_seems_right(self):
        draw = [self.example("hate"), self.example()]
        apart = self.sieve([self.scores("hate", 6.0), self.scores("hate", -6.0)]).loss(draw)
        close = self.sieve([self.scores("hate", -0.5), self.scores("hate", -1.0)]).loss(draw)
        self.assertLess(apart, 0.1)
        self.assertGreater(close, 0.7)

    def test_easy_draws_are_mostly_left_out_and_hard_ones_kept(self):
        for score, low, high in ((-9.0, 0.05, 0.2), (4.0, 0.99, 1.01)):
            sieve = self.sieve([self.scores("hate", score)])
            sieve.sampler = types.SimpleNamespace(kind=lambda: "halueval_general", draw=lambda kind: [self.example()])
            for _ in range(100):
                sieve.draw()
            self.assertTrue(low < sieve.kept / sieve.seen < high, sieve.kept / sieve.seen)


class Blends(unittest.TestCase):
    def test_the_anchor_is_the_share_of_the_weights_that_training_began_at(self):
        begun, ended = (Classifier(20, 1, FACTS) for _ in range(2))
        for network, value in ((begun, 1.0), (ended, 3.0)):
            for parameter in network.parameters():
                torch.nn.init.constant_(parameter, value)
        with tempfile.TemporaryDirectory() as name, mock.patch.object(train, "BUILD", Path(name)), mock.patch.object(train, "fresh_model", lambda: begun):
            torch.save(ended.state_dict(), Path(name) / "model.part1.pt")
            for anchor, value in ((0.0, 3.0), (0.25, 2.5)):
                train.blend(anchor)
                mixed = torch.load(Path(name) / "model.pt", weights_only=True)
                self.assertTrue(all(torch.allclose(tensor, torch.tensor(value)) for tensor in mixed.values()))


class Figures(unittest.TestCase):
    def test_kappa_is_what_two_readers_share_beyond_chance(self):
        from steadfast_training.agreement import kappa

        # Cohen's textbook table: 20 both, 15 neither, 5 and 10 apart.
        first = [True] * 25 + [False] * 25
        second = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
        self.assertAlmostEqual(kappa(first, second), 0.4)
        self.assertAlmostEqual(kappa(first, first), 1.0)
        self.assertAlmostEqual(kappa(first, first[::-1]), -1.0)

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

    def test_shared_thresholds_keep_one_budget_for_all_labels(self):
        rng = np.random.default_rng(0)
        rates, one = [], []
        for _ in range(60):
            seen, fresh = rng.random((2, 4000, 3))
            at, stopped = metrics.shared_thresholds(seen, 0.01)
            self.assertLessEqual((stopped + 1) / 4001, 0.01)
            rates.append((fresh >= at).any(axis=1).mean())
            one.append(abs(metrics.shared_thresholds(seen[:, :1], 0.01)[0][0] - metrics.conformal_threshold(seen[:, 0], 0.01)[0]))
        self.assertLessEqual(np.mean(rates), 0.0105)
        self.assertGreater(np.mean(rates), 0.007)
        self.assertLess(max(one), 1e-3)

    def test_a_golden_text_on_the_steep_part_is_not_clear(self):
        one, none = np.ones(2), np.zeros(2)
        self.assertTrue(golden.clear(one, none, np.array([6.0, -6.0])))
        self.assertFalse(golden.clear(one, none, np.array([0.5, -6.0])))

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

    def test_a_shipped_model_gives_back_the_weights_that_it_was_made_of(self):
        torch.manual_seed(1)
        model = Classifier(50, 2, FACTS, dropout=0.0).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        proto = export.build(model, int8=True)
        read = shipped.tensors(proto, heads=FACTS["heads"])
        again = Classifier(50, 2, FACTS, dropout=0.0).eval()
        again.load_base(read, read["emb.word"])
        for (name, before), after in zip(model.state_dict().items(), again.state_dict().values()):
            step = before.abs().max().item() / export.LIMIT
            self.assertLessEqual((before - after).abs().max().item(), 0.51 * step if before.ndim == 2 else 1e-6, name)
        twice = export.build(again, int8=True)
        self.assertEqual([t.name for t in proto.graph.initializer], [t.name for t in twice.graph.initializer])

    def test_products_of_bytes_do_not_saturate(self):
        """255 * 127 twice is over what 16 bits hold, which is where a CPU without VNNI adds unless it is asked for exact products."""
        values, weights = np.full((1, 64), 255, np.uint8), np.full((64, 32), 127, np.int8)
        node = helper.make_node("MatMulInteger", ["x", "w", "z"], ["y"])
        ends = [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 64])], [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 32])]
        constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(0, np.uint8), "z")]
        proto = helper.make_model(helper.make_graph([node], "product", *ends, constants), opset_imports=[helper.make_opsetid("", export.OPSET)])
        proto.ir_version = 8
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            path.write_bytes(proto.SerializeToString())
            loaded = session(path)
        self.assertEqual(loaded.get_session_options().get_session_config_entry("session.x64quantprecision"), "1")
        self.assertEqual(loaded.run(None, {"x": values})[0].tolist(), [[64 * 255 * 127] * 32])

    def test_a_model_stays_the_version_that_its_manifest_says(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model.onnx").write_bytes(b"one")
            self.assertEqual(version_of(folder)[0], VERSION)
            text = f'version = "0.0.7"\ncreated = "2026-01-02"\n[model]\nsha256 = "{sha256(folder / "model.onnx")}"\n'
            (folder / "manifest.toml").write_text(text, encoding="utf-8")
            self.assertEqual(version_of(folder), ("0.0.7", "2026-01-02"))
            (folder / "model.onnx").write_bytes(b"another")
            self.assertEqual(version_of(folder)[0], VERSION)

    def test_padding_changes_nothing(self):
        model = Classifier(50, 2, FACTS, dropout=0.0).eval()
        alone = layout.collate([layout.assemble([5], [6], [7, 8, 9])])
        padded = layout.collate([layout.assemble([5], [6], [7, 8, 9]), layout.assemble([5] * 20, [6] * 20, [7] * 60)])
        with torch.no_grad():
            a, b = model(*map(torch.from_numpy, alone)), model(*map(torch.from_numpy, padded))
        self.assertLess((a[0] - b[0]).abs().max().item(), 1e-4)


if __name__ == "__main__":
    unittest.main()
