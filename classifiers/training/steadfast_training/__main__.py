"""`python -m steadfast_training STEP [--options]`: one step, or `all`."""

from __future__ import annotations

import argparse
from pathlib import Path

ORDER = ["prepare", "train", "export", "calibrate", "evaluate", "card"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="steadfast_training", description=__doc__)
    parser.add_argument("step", choices=[*ORDER, "blend", "choose", "golden", "first_stage", "hard", "holdout", "agreement", "tally", "fit", "all"])
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps of train (default 3000)")
    parser.add_argument("--minutes", type=float, default=None, help="train: stop (with the schedule ended) after so many minutes")
    parser.add_argument("--batch", type=int, default=48, help="windows a step (default 48)")
    parser.add_argument("--rate", type=float, default=1.2e-4, help="peak learning rate of the encoder")
    parser.add_argument("--part", type=int, default=0, help="train: the number (1, 2 …) of one of several runs, each a process of its own; then blend")
    parser.add_argument("--freeze", type=int, default=0, metavar="LAYERS", help="train: leave the embeddings and so many of the lowest layers as they are")
    parser.add_argument("--warm", type=int, default=100, help="train: steps over which the rate rises (default 100)")
    parser.add_argument("--average", type=float, default=0.998, help="train: decay of the averaged weights (default 0.998; a short run wants less)")
    parser.add_argument("--continue-from", type=Path, default=None, metavar="FOLDER", help="prepare: begin at a shipped classifier instead of the pretrained encoder")
    parser.add_argument("--anchor", type=float, default=0.0, metavar="SHARE", help="blend: the share of the weights that training began at (default 0)")
    parser.add_argument("--renew", action="store_true", help="prepare --continue-from: words new to the lexicon take the place of pieces that no training text uses")
    parser.add_argument("--no-sieve", action="store_true", help="train: take every draw, also where a shipped model is continued")
    parser.add_argument("--against", type=Path, default=None, metavar="FILE", help="choose: another model's choose.json to set this one's figures beside")
    parser.add_argument("--fresh", action="store_true", help="train: ignore a checkpoint")
    arguments = parser.parse_args()
    for step in ORDER if arguments.step == "all" else [arguments.step]:
        if step == "prepare":
            from .prepare import run

            run(arguments.continue_from, arguments.renew)
        elif step == "train":
            from .train import run

            run(arguments.steps, arguments.batch, arguments.rate, minutes=arguments.minutes, fresh=arguments.fresh, warm=arguments.warm, average_decay=arguments.average, part=arguments.part, frozen=arguments.freeze, sieve=not arguments.no_sieve)
        elif step == "blend":
            from .train import blend

            blend(arguments.anchor)
        elif step == "export":
            from .export import run

            run()
        elif step == "calibrate":
            from .calibrate import run

            run()
        elif step == "evaluate":
            from .evaluate import run

            run()
        elif step == "choose":
            from .choose import run

            run(arguments.against)
        elif step == "golden":
            from .golden import run

            run()
        elif step == "first_stage":
            from .first_stage import run

            run()
        elif step == "hard":
            from .hard import run

            run()
        elif step == "agreement":
            from .agreement import run

            run()
        elif step == "fit":
            from .fit import run

            run()
        elif step == "tally":
            from .tally import run

            run()
        elif step == "holdout":
            from .holdout import run

            run(arguments.steps, arguments.batch, arguments.rate, arguments.average)
        else:
            from .card import run

            run()


if __name__ == "__main__":
    main()
