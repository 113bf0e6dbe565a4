"""The pool of synthetic slices that training draws from, made by several processes."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from models.training.compose import atlas_anatomy
from models.training.contrast import acquire, pick_contrast, render
from models.training.deform import STORED, deform
from models.training.off_plane import off_plane_anatomy
from models.training.procedural import procedural_anatomy
from models.training.real import WINDOW, Volunteer, mix
from models.training.tissues import Anatomy, Bools, Codes, Floats, Sample

#: Changes whenever the same seed would give other slices.
GENERATOR_VERSION: Final = "6"
#: Share of slices that are drawn and not from the atlas. Chosen by us.
PROCEDURAL_SHARE: Final = 0.2
#: Share of cuts that are sagittal or coronal, in which nothing is to be found. Chosen by us.
OFF_PLANE_SHARE: Final = 0.04
#: Share of images whose field of view ends within the body, as that of a spine protocol does.
SMALL_VIEW_SHARE: Final = 0.3
#: Deformations of each anatomy: composing costs ten times as much as deforming.
VARIANTS: Final = 3
_CHUNK: Final = 40


@dataclass(frozen=True, eq=False)
class Pool:
    """Many samples as three arrays of shape (samples, rows, columns)."""

    tissue: Codes
    label: Codes
    infiltration: Codes

    def __len__(self) -> int:
        return len(self.tissue)

    def sample(self, index: int) -> Sample:
        """One whole stored slice."""
        return Sample(self.tissue[index], self.label[index], self.infiltration[index])


def build_pool(data: Path, anatomies: int, seed: int, processes: int = 2) -> Pool:
    """A pool of ``VARIANTS`` slices for each anatomy; the same seed gives the same pool."""
    chunks = -(-anatomies // _CHUNK)
    tasks = [(data, seed, chunk) for chunk in range(chunks)]
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        parts = workers.map(_chunk, tasks, chunksize=1)
    return Pool(*(np.concatenate([part[k] for part in parts]) for k in range(3)))


def _chunk(task: tuple[Path, int, int]) -> tuple[Codes, Codes, Codes]:
    """The samples of one chunk; its random numbers depend on the seed and its number only."""
    data, seed, chunk = task
    rng = np.random.default_rng([seed, chunk])
    arrays = tuple(np.empty((_CHUNK * VARIANTS, *STORED), np.uint8) for _ in range(3))
    for index in range(_CHUNK):
        anatomy = _anatomy(data, rng)
        for variant in range(VARIANTS):
            sample = deform(anatomy, rng)
            place = index * VARIANTS + variant
            arrays[0][place], arrays[1][place] = sample.tissue, sample.label
            arrays[2][place] = sample.infiltration
    return arrays[0], arrays[1], arrays[2]


def _anatomy(data: Path, rng: np.random.Generator) -> Anatomy:
    """One anatomy of any kind."""
    kind = rng.random()
    if kind < OFF_PLANE_SHARE:
        return off_plane_anatomy(data, rng)
    if kind < OFF_PLANE_SHARE + PROCEDURAL_SHARE:
        return procedural_anatomy(rng)
    return atlas_anatomy(data, rng)


def save_pool(pool: Pool, path: Path) -> None:
    """Keep a pool, so that a resumed training need not make it again."""
    np.savez(path, tissue=pool.tissue, label=pool.label, infiltration=pool.infiltration)


def load_pool(path: Path) -> Pool:
    """A pool kept by ``save_pool``."""
    with np.load(path) as arrays:
        return Pool(arrays["tissue"], arrays["label"], arrays["infiltration"])


def batches(
    pool: Pool, size: int, seed: int, volunteer: Volunteer | None = None, share: float = 0.0
) -> Iterator[tuple[Floats, Codes]]:
    """Endless random batches: images (size, 1, rows, columns) and labels (size, rows, columns).

    The share of the images is of the volunteer, if there is one.
    """
    rng = np.random.default_rng(seed)
    while True:
        drawn = []
        for _ in range(size):
            if volunteer is not None and rng.random() < share:
                drawn.append(_window(*volunteer.draw(rng), rng))
            else:
                drawn.append(training_pair(pool.sample(int(rng.integers(len(pool)))), rng))
        yield np.stack([d[0] for d in drawn])[:, None], np.stack([d[1] for d in drawn])


def training_pair(sample: Sample, rng: np.random.Generator) -> tuple[Floats, Codes]:
    """A random window of a sample as an image, mirrored every other time with its sides swapped."""
    top = int(rng.integers(STORED[0] - WINDOW[0] + 1))
    start = int(rng.integers(STORED[1] - WINDOW[1] + 1))
    window = np.s_[top : top + WINDOW[0], start : start + WINDOW[1]]
    tissue, label = sample.tissue[window], sample.label[window]
    seen = field_of_view(label, rng)
    image = render(Sample(tissue, label, sample.infiltration[window]), rng, seen=seen)
    return _mirrored(image, np.where(seen, label, 0).astype(np.uint8), rng)


def _window(water: Floats, fat: Floats, label: Codes, rng: np.random.Generator) -> tuple[Floats, Codes]:
    """The volunteer's slice in a random contrast, as an image and its label."""
    seen = field_of_view(label, rng)
    image = acquire(mix(water, fat, pick_contrast(rng), rng), rng, seen)
    return _mirrored(image, np.where(seen, label, 0).astype(np.uint8), rng)


def field_of_view(label: Codes, rng: np.random.Generator) -> Bools:
    """What the image shows: mostly all, at times a box that cuts the body but seldom the muscles."""
    seen = np.ones(label.shape, np.bool_)
    if rng.random() >= SMALL_VIEW_SHARE or not label.any():
        return seen
    rows, columns = np.where(label)
    margin = rng.uniform(-6.0, 60.0, size=4)
    top, bottom = rows.min() - margin[0] - 40, rows.max() + margin[1]
    start, end = columns.min() - margin[2], columns.max() + margin[3]
    row, column = np.indices(label.shape, sparse=True)
    inside: Bools = (row >= top) & (row <= bottom) & (column >= start) & (column <= end)
    return inside


def _mirrored(image: Floats, label: Codes, rng: np.random.Generator) -> tuple[Floats, Codes]:
    """As it is, or mirrored with the sides swapped."""
    if rng.random() < 0.5:
        image, label = image[:, ::-1], swap_sides(label[:, ::-1])
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


def swap_sides(label: Codes) -> Codes:
    """Right becomes left, as it must when an image is mirrored."""
    return np.array([0, 2, 1], np.uint8)[label]
