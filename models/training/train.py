"""Make the network: generate, train, choose the threshold, export.

    python -m models.training.train --data DIR --out DIR --iterations 2400 --seed 1

A second call with ``--start`` and ``--real-share`` goes on from there with the volunteer among the images.
Interrupted, the same command continues from the checkpoint in OUT/work.
"""

import argparse
import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from models.training.card import write_card
from models.training.export import export_network
from models.training.fit import BATCH, LEARNING_RATE, Course, State, fit
from models.training.generate import GENERATOR_VERSION, VARIANTS, build_pool, save_pool
from models.training.threshold import choose_threshold

log = logging.getLogger("models.training")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run was asked to do."""

    data: Path
    out: Path
    iterations: int
    seed: int
    anatomies: int
    rate: float
    real_share: float
    start: Path | None

    @property
    def work(self) -> Path:
        """Pool and checkpoint; not shipped."""
        return self.out / "work"

    def asked(self) -> dict[str, object]:
        """What must not change while a run goes on."""
        start = None if self.start is None else hashlib.sha256(self.start.read_bytes()).hexdigest()
        return {
            "iterations": self.iterations,
            "seed": self.seed,
            "anatomies": self.anatomies,
            "rate": self.rate,
            "real_share": self.real_share,
            "start_sha256": start,
        }


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = _arguments()
    torch.set_num_threads(2)
    plan.work.mkdir(parents=True, exist_ok=True)
    _require_same_plan(plan)
    course = Course(
        pool=_pool(plan),
        checkpoint=plan.work / "checkpoint.pt",
        iterations=plan.iterations,
        seed=plan.seed,
        rate=plan.rate,
        start=plan.start,
        volunteer=plan.data / "tum01" if plan.real_share else None,
        real_share=plan.real_share,
    )
    finish(plan, fit(course, log.info))


def finish(plan: Plan, state: State) -> None:
    """Everything after the last step; what is measured besides is added by other commands (README)."""
    exported = export_network(state.average.cpu(), plan.out / "model.onnx")
    log.info("exported %s", asdict(exported))
    threshold, synthetic = choose_threshold(plan.out / "model.onnx", plan.data, seed=plan.seed)
    log.info("threshold %s, Dice on synthetic slices %s", threshold, synthetic)
    made = {
        **plan.asked(),
        **asdict(exported),
        "threshold": threshold,
        "synthetic_dice": synthetic,
        "batch": BATCH,
        "minutes": round(state.seconds / 60, 1),
        "synthetic_slices": plan.anatomies * VARIANTS,
        "generator_version": GENERATOR_VERSION,
    }
    (plan.work / "made.json").write_text(json.dumps(made, indent=2), encoding="utf-8")
    write_card(plan.out)


def _pool(plan: Plan) -> Path:
    """The slices to train on, made once."""
    path = plan.work / "pool.npz"
    if not path.exists():
        began = time.monotonic()
        pool = build_pool(plan.data, plan.anatomies, plan.seed)
        save_pool(pool, path.with_suffix(".part.npz"))
        path.with_suffix(".part.npz").replace(path)
        log.info("made %d slices in %.0f s", len(pool), time.monotonic() - began)
    return path


def _require_same_plan(plan: Plan) -> None:
    """A checkpoint of another plan must not be continued by accident."""
    path = plan.work / "plan.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != plan.asked():
        raise SystemExit(f"{plan.work} holds another run: remove it or use another --out.")
    path.write_text(json.dumps(plan.asked()), encoding="utf-8")


def _arguments() -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with spl_atlas, lpm_masks, tum01")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.onnx and card.toml")
    parser.add_argument("--iterations", type=int, default=2400, help=f"of {BATCH} images each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--anatomies", type=int, default=3200, help=f"drawn anatomies, each deformed {VARIANTS} times"
    )
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="highest learning rate")
    parser.add_argument("--real-share", type=float, default=0.0, help="share of images of the volunteer")
    parser.add_argument("--start", type=Path, help="checkpoint to begin with")
    given = parser.parse_args()
    return Plan(
        data=given.data.resolve(),
        out=given.out.resolve(),
        iterations=given.iterations,
        seed=given.seed,
        anatomies=given.anatomies,
        rate=given.rate,
        real_share=given.real_share,
        start=given.start.resolve() if given.start else None,
    )


if __name__ == "__main__":
    main()
