"""Step 2: fine-tunes the encoder and its head. Resumes from its checkpoint; uses a GPU where there is one."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from tqdm import tqdm

from . import hard, sources
from .layout import collate
from .model import Classifier
from .prepare import read_lexicon
from .sampler import Example, Sampler
from .settings import BUILD, LABELS, LAYERS, SEED
from .sieve import Sieve
from .table import LazyAdam
from .tail import Tail

AVERAGE = 0.998  # decay of the averaged weights, which are what ships
OLD_ROWS, NEW_ROWS = 0.3, 5.0  # learning rates of pretrained and new rows of the word table, times the encoder's
MARGIN = 0.5  # weight of the loss that orders twins
TAIL = 0.5  # weight of the loss that is about the highest harmless scores
AHEAD = 6  # batches that are drawn at once, to be cut by length
EVERY = 180  # seconds between checkpoints


def fresh_model(dropout: float = 0.1, layers: int = LAYERS) -> Classifier:
    facts = np.load(BUILD / "facts.npy", allow_pickle=True)[0]
    tensors = dict(np.load(BUILD / "base.npz"))
    model = Classifier(tensors["word"].shape[0], layers, facts, dropout)
    model.load_base(tensors, tensors["word"])
    return model


def batches(source: Sampler | Sieve, size: int):
    """Draws several batches at once and cuts them by length, so that little is padding. Twins stay together."""
    while True:
        draws: list[list[Example]] = []
        count = 0
        while count < size * AHEAD:
            draws.append(source.draw())
            count += len(draws[-1])
        draws.sort(key=lambda d: max(len(e[0]) for e in d))
        group: list[list[Example]] = []
        groups = []
        for draw in draws:
            group.append(draw)
            if sum(map(len, group)) >= size:
                groups.append(group)
                group = []
        source.rng.shuffle(groups)
        yield from groups


def fast_bf16(device: torch.device) -> bool:
    """A CPU without the instructions emulates bfloat16, several times slower than fp32."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def loss_of(model: Classifier, group: list[list[Example]], device: torch.device, tail: Tail) -> torch.Tensor:
    flat = [e for draw in group for e in draw]
    ids, mask, types = (torch.from_numpy(a).to(device) for a in collate([(e[0], e[1]) for e in flat]))
    targets = torch.from_numpy(np.stack([e[2] for e in flat])).to(device)
    weights = torch.from_numpy(np.stack([e[3] for e in flat])).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast_bf16(device)):
        logits = model(ids, mask, types)
    logits = logits.float()
    # A positive is one cell among ten: without a weight the model learns to say no.
    cell = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights * (1 + 2 * targets)
    loss = cell.sum() / len(flat) + TAIL * tail.loss(logits, targets, weights)
    left, right = [], []
    at = 0
    for draw in group:
        if len(draw) == 2 and draw[0][2].any() and not draw[1][2].any():
            left.append(at)
            right.append(at + 1)
        at += len(draw)
    if left:
        chosen = targets[left] * (weights[left] > 0) * (weights[right] > 0)
        gap = F.softplus(1.0 - (logits[left] - logits[right])) * chosen
        loss = loss + MARGIN * gap.sum() / max(1, len(left))
    return loss


def freeze(model: Classifier, layers: int) -> None:
    """Leaves the embeddings and the lowest `layers` as they are: half of the layers cost a third of a step."""
    if layers == 0:
        return
    low = ("word.", "pos.", "segment.", "ln.", *(f"layers.{i}." for i in range(layers)))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(low)


def groups_of(model: Classifier, rate: float) -> list[dict]:
    """What AdamW trains: all but the word table and what is frozen."""
    head, encoder, plain = [], [], []
    for name, parameter in model.named_parameters():
        if name == "word.weight" or not parameter.requires_grad:
            continue
        if name.split(".")[0] in ("evidence", "attention", "mean"):
            head.append(parameter)
        elif parameter.ndim < 2:
            plain.append(parameter)
        else:
            encoder.append(parameter)
    return [
        {"params": encoder, "lr": rate, "weight_decay": 0.02},
        {"params": plain, "lr": rate, "weight_decay": 0.0},
        {"params": head, "lr": rate * 8, "weight_decay": 0.01},
    ]


def ahead(iterator, depth: int = 12):
    """Draws in a process of its own, so that drawing and stepping do not wait for each other's interpreter."""
    context = multiprocessing.get_context("fork")
    line = context.Queue(depth)

    def fill() -> None:
        for item in iterator:
            line.put(item)

    drawer = context.Process(target=fill, daemon=True)
    drawer.start()
    try:
        while True:
            yield line.get()
    finally:
        drawer.terminate()


def run(steps: int, batch: int, rate: float, minutes: float | None = None, fresh: bool = False, exclude: set = frozenset(), name: str = "model", rows=None, warm: int = 100, average_decay: float = AVERAGE, part: int = 0, frozen: int = 0, sieve: bool = True) -> Classifier:
    """Trains and saves build/NAME.pt (the averaged weights). With `minutes`, the schedule follows the clock. `warm` steps raise the rate.

    A `part` above 0 is one of several runs from the same weights that draw differently; `blend` averages them.
    """
    name = f"{name}.part{part}" if part else name
    seed = SEED + 100_000 * part
    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("STEADFAST_THREADS", "2")))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = Tokenizer.from_file(str(BUILD / "tokenizer.json"))
    rows = rows if rows is not None else sources.read_all()
    model = fresh_model().to(device)
    freeze(model, frozen)
    groups = groups_of(model, rate)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    peaks = [g["lr"] for g in optimizer.param_groups]
    new = torch.from_numpy(np.load(BUILD / "base.npz")["new"]).to(device)
    table = LazyAdam(model.word.weight, torch.where(new, NEW_ROWS * rate, OLD_ROWS * rate))
    moving = [p for g in groups for p in g["params"]]
    average = [p.detach().clone() for p in moving]
    words = model.word.weight.detach().clone()
    tail = Tail(len(LABELS), device)
    checkpoint = BUILD / f"{name}.checkpoint.pt"
    done, used = 0, 0.0
    if checkpoint.exists() and not fresh:
        saved = torch.load(checkpoint, map_location=device, weights_only=False)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        table.restore(saved["table"])
        tail.restore(saved["tail"])
        average, words = saved["average"], saved["words"]
        done, used = saved["done"], saved["used"]
    # Drawing runs ahead of the steps, so a resumed run draws anew (and takes in rows that were added since), from a seed of its own.
    sampler = Sampler(rows, tokenizer, seed + done, exclude, read_lexicon(), hard.read())
    before = BUILD / "continued.onnx"  # left by prepare --continue-from
    source = Sieve(sampler, before, seed + done) if sieve and before.exists() else sampler
    del rows
    print(f"train {name}: {len(sampler.twins)} twins, {len(sampler.singles)} singles, device {device}, excluding {sorted(map(str, exclude))}, from step {done}", flush=True)
    started = saved_at = time.time()
    model.train()
    smooth_loss = None
    progress = tqdm(total=steps, initial=done, desc=name, mininterval=20)
    for group in ahead(batches(source, batch)):
        share = done / steps
        if minutes:
            share = (used + time.time() - started) / (minutes * 60)
        if share >= 1:
            break
        scale = min(1.0, (done + 1) / warm) * max(0.02, 0.5 * (1 + math.cos(math.pi * share)))
        for g, peak in zip(optimizer.param_groups, peaks):
            g["lr"] = peak * scale
        loss = loss_of(model, group, device, tail)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, 1.0)
        optimizer.step()
        touched = None if frozen else table.step(scale)
        done += 1
        decay = min(average_decay, (1 + done) / (10 + done))
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in moving], 1 - decay)
            if touched is not None:
                words[touched] = words[touched].lerp_(model.word.weight[touched], 0.05)
        smooth_loss = loss.item() if smooth_loss is None else 0.98 * smooth_loss + 0.02 * loss.item()
        progress.update()
        progress.set_postfix(loss=f"{smooth_loss:.3f}", done=f"{share:.0%}", refresh=False)
        if done % 100 == 0:
            give_back()
        if time.time() - saved_at > EVERY:
            saved_at = time.time()
            state = {"tail": tail.state(), "model": model.state_dict(), "optimizer": optimizer.state_dict(), "table": table.state(), "average": average, "words": words, "done": done, "used": used + time.time() - started}
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            print(f"step {done}: loss {smooth_loss:.4f}, {share:.0%}, {(time.time() - started):.0f} s", flush=True)
    progress.close()
    settle(model, moving, average, words)
    torch.save(model.state_dict(), BUILD / f"{name}.pt")
    checkpoint.unlink(missing_ok=True)
    print(f"train {name}: {done} steps of {batch} windows in {used + time.time() - started:.0f} s, loss {smooth_loss}")
    return model


def give_back() -> None:
    """Batches of every length leave the allocator full of holes; glibc returns them when told to."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass


def settle(model: Classifier, moving: list[torch.nn.Parameter], average: list[torch.Tensor], words: torch.Tensor) -> None:
    """Puts the averaged weights in place of the last ones."""
    with torch.no_grad():
        for p, a in zip(moving, average):
            p.copy_(a)
        model.word.weight.copy_(words)
    model.eval()


def blend(anchor: float = 0.0) -> None:
    """Averages the parts' weights into build/model.pt. Short runs from the same weights lie in one basin, and their mean is better than any.

    `anchor` is the share of the weights that training began at: what these knew of texts that training shows few of is kept in part.
    """
    paths = sorted(BUILD.glob("model.part*.pt"))
    paths = [p for p in paths if "checkpoint" not in p.name]
    if not paths:
        raise SystemExit(f"{BUILD}: no model.part*.pt; run train --part 1, --part 2 … first")
    states = [torch.load(p, map_location="cpu", weights_only=True) for p in paths]
    begun = fresh_model().state_dict()
    mixed = {k: torch.lerp(torch.stack([s[k] for s in states]).mean(dim=0), begun[k], anchor) for k in begun}
    torch.save(mixed, BUILD / "model.pt")
    print(f"blend: model.pt is the mean of {', '.join(p.name for p in paths)}" + (f", with {anchor:g} of the weights that training began at" if anchor else ""))
