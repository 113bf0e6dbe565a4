"""Make the network from public shapes: generate, train, evaluate, export, write the card.

    python -m models.training.train --data DIR --out DIR --minutes 20 --seed 1

Interrupted, the same command continues from the checkpoint in OUT/work.
"""

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from models.training.card import write_card
from models.training.evaluate import Report, evaluate
from models.training.export import export_network
from models.training.fit import State, fit
from models.training.generate import VARIANTS, build_pool, save_pool

log = logging.getLogger("models.training")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run was asked to do."""

    data: Path
    out: Path
    minutes: float
    seed: int
    anatomies: int

    @property
    def work(self) -> Path:
        """Pool and checkpoint; not shipped."""
        return self.out / "work"


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = _arguments()
    torch.set_num_threads(2)
    plan.work.mkdir(parents=True, exist_ok=True)
    _require_same_plan(plan)
    pool = _pool(plan)
    checkpoint = plan.work / "checkpoint.pt"
    state = fit(pool, checkpoint, seconds=plan.minutes * 60, seed=plan.seed, report=log.info)
    finish(plan, state)


def finish(plan: Plan, state: State) -> None:
    """Everything after the last step."""
    exported = export_network(state.average, plan.out / "model.onnx")
    log.info("exported %s", asdict(exported))
    report: Report = evaluate(plan.out / "model.onnx", plan.data, seed=plan.seed)
    for line in report.lines():
        log.info("%s", line)
    write_card(
        plan.out / "card.toml",
        exported=exported,
        report=report,
        state=state,
        minutes=plan.minutes,
        seed=plan.seed,
        anatomies=plan.anatomies,
    )


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
    asked = {"minutes": plan.minutes, "seed": plan.seed, "anatomies": plan.anatomies}
    path = plan.work / "plan.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        # More minutes continue a run; anything else would mix two runs in one checkpoint.
        if {**kept, "minutes": 0} != {**asked, "minutes": 0} or kept["minutes"] > plan.minutes:
            raise SystemExit(f"{plan.work} holds another run: remove it or use another --out.")
    path.write_text(json.dumps(asked), encoding="utf-8")


def _arguments() -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with spl_atlas, lpm_masks, tum01")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.onnx and card.toml")
    parser.add_argument("--minutes", type=float, default=20.0, help="time of the training loop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--anatomies", type=int, default=2400, help=f"drawn anatomies, each deformed {VARIANTS} times"
    )
    given = parser.parse_args()
    return Plan(
        data=given.data.resolve(),
        out=given.out.resolve(),
        minutes=given.minutes,
        seed=given.seed,
        anatomies=given.anatomies,
    )


if __name__ == "__main__":
    main()
