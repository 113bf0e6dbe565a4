"""The training loop: a number of iterations, resumable, on the processor or a GPU."""

import copy
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.training.generate import batches, load_pool
from models.training.network import UNet
from models.training.real import Volunteer

#: Chosen by us after the prototype that this recipe comes from.
BATCH: Final = 8
LEARNING_RATE: Final = 2e-3
WARM_UP_ITERATIONS: Final = 60
AVERAGE_DECAY: Final = 0.998
_SAVE_SECONDS: Final = 60.0
#: The process that renders batches has died if it brings none for so long.
_STARVED_SECONDS: Final = 300.0
_REPORT_ITERATIONS: Final = 50


@dataclass
class State:
    """Everything that a resumed training needs."""

    network: UNet
    average: UNet
    optimiser: torch.optim.Optimizer
    iteration: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, seed: int) -> "State":
        """A fresh network."""
        torch.manual_seed(seed)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = UNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
        return cls(network, copy.deepcopy(network).eval(), optimiser)

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "iteration": self.iteration,
                "seconds": self.seconds,
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        kept: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.iteration, self.seconds = kept["iteration"], kept["seconds"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """What one training is made of."""

    pool: Path
    checkpoint: Path
    iterations: int
    seed: int
    rate: float = LEARNING_RATE
    #: A checkpoint whose averaged network is where this one begins.
    start: Path | None = None
    #: Folder of the volunteer and the share of the images that are of him.
    volunteer: Path | None = None
    real_share: float = 0.0


def fit(course: Course, report: Callable[[str], None]) -> State:
    """Train to the number of iterations, counting those of earlier tries."""
    state = State.start(course.seed)
    if course.checkpoint.exists():
        state.load(course.checkpoint)
        report(f"resumed at iteration {state.iteration}, {state.seconds:.0f} s")
    elif course.start is not None:
        kept = torch.load(course.start, weights_only=True, map_location="cpu")
        state.network.load_state_dict(kept["average"])
        state.average.load_state_dict(kept["average"])
    context = multiprocessing.get_context("spawn")
    queue: Queue[Any] = context.Queue(maxsize=6)
    # A resumed run must not see the same batches again, so the iteration is part of the seed.
    feeder = context.Process(target=_feed, args=(course, course.seed + state.iteration, queue), daemon=True)
    feeder.start()
    try:
        _loop(state, queue, course=course, report=report)
    finally:
        feeder.terminate()
        feeder.join()
    state.save(course.checkpoint)
    return state


def _feed(course: Course, seed: int, queue: "Queue[Any]") -> None:
    """Render batches in a process of its own."""
    volunteer = Volunteer.read(course.volunteer) if course.volunteer else None
    pool = load_pool(course.pool)
    for images, labels in batches(pool, BATCH, seed, volunteer, course.real_share):
        queue.put((images, labels))


def _loop(state: State, queue: "Queue[Any]", *, course: Course, report: Callable[[str], None]) -> None:
    """Steps until the iterations are done."""
    began, before, saved = time.monotonic(), state.seconds, time.monotonic()
    recent = 0.0
    while state.iteration < course.iterations:
        pair = queue.get(timeout=_STARVED_SECONDS)
        _set_rate(state, course)
        loss = _step(state, torch.from_numpy(pair[0]), torch.from_numpy(pair[1]).long())
        recent = loss if recent == 0.0 else 0.97 * recent + 0.03 * loss
        state.seconds = before + time.monotonic() - began
        if state.iteration % _REPORT_ITERATIONS == 0:
            report(f"iteration {state.iteration} {state.seconds:.0f} s loss {recent:.4f}")
        if time.monotonic() - saved > _SAVE_SECONDS:
            state.save(course.checkpoint)
            saved = time.monotonic()


def _set_rate(state: State, course: Course) -> None:
    """Warm-up, then a cosine over the iterations."""
    warm = min(1.0, (state.iteration + 1) / WARM_UP_ITERATIONS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(state.iteration / course.iterations, 1.0)))
    for group in state.optimiser.param_groups:
        group["lr"] = course.rate * warm * max(cosine, 0.005)


def _step(state: State, images: Tensor, labels: Tensor) -> float:
    """One step of the network and of its running average."""
    state.network.train()
    device = next(state.network.parameters()).device
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    labels = labels.to(device)
    # bfloat16 with channels last took 0.39 s a step against 1.27 s plain, on two cores with avx512_bf16.
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = state.network(images)
    loss = loss_of(logits.float(), labels)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimiser.step()
    state.iteration += 1
    _average(state)
    return float(loss.detach())


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the two compartments over the batch."""
    entropy = functional.cross_entropy(logits, labels)
    chances = torch.softmax(logits, dim=1)[:, 1:]
    truth = functional.one_hot(labels, 3).permute(0, 3, 1, 2)[:, 1:].float()
    overlap = (chances * truth).sum((0, 2, 3))
    total = chances.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    dice: Tensor = (2 * overlap + 1) / (total + 1)
    return entropy + 1 - dice.mean()


@torch.no_grad()
def _average(state: State) -> None:
    """Move the averaged network towards the trained one, faster at the beginning."""
    decay = min(AVERAGE_DECAY, (1 + state.iteration) / (10 + state.iteration))
    trained = state.network.state_dict()
    for name, kept in state.average.state_dict().items():
        if kept.dtype.is_floating_point:
            kept.lerp_(trained[name], 1 - decay)
        else:
            kept.copy_(trained[name])
