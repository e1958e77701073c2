"""`python -m steadfast_training STEP [--options]`: one step, or `all`."""

from __future__ import annotations

import argparse

ORDER = ["prepare", "train", "export", "calibrate", "evaluate", "card"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="steadfast_training", description=__doc__)
    parser.add_argument("step", choices=[*ORDER, "first_stage", "holdout", "all"])
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps of train (default 3000)")
    parser.add_argument("--minutes", type=float, default=None, help="train: stop (with the schedule ended) after so many minutes")
    parser.add_argument("--batch", type=int, default=48, help="windows a step (default 48)")
    parser.add_argument("--rate", type=float, default=1.2e-4, help="peak learning rate of the encoder")
    parser.add_argument("--fresh", action="store_true", help="train: ignore a checkpoint")
    arguments = parser.parse_args()
    for step in ORDER if arguments.step == "all" else [arguments.step]:
        if step == "prepare":
            from .prepare import run

            run()
        elif step == "train":
            from .train import run

            run(arguments.steps, arguments.batch, arguments.rate, minutes=arguments.minutes, fresh=arguments.fresh)
        elif step == "export":
            from .export import run

            run()
        elif step == "calibrate":
            from .calibrate import run

            run()
        elif step == "evaluate":
            from .evaluate import run

            run()
        elif step == "first_stage":
            from .first_stage import run

            run()
        elif step == "holdout":
            from .holdout import run

            run(arguments.steps, arguments.batch, arguments.rate)
        else:
            from .card import run

            run()


if __name__ == "__main__":
    main()
