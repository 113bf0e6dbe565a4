"""Deformation of an anatomy and fat infiltration of its compartments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from models.training.noise import smooth, streaks
from models.training.tissues import Anatomy, Bools, Codes, Floats, Sample, Tissue

#: Rows and columns that are kept of the reference slice: 280 mm by 360 mm.
STORED = (224, 288)


def deform(anatomy: Anatomy, rng: np.random.Generator) -> Sample:
    """One variant of an anatomy: other size, posture, muscle bulk and fat."""
    rows, columns = _places(anatomy, rng)
    grid = np.rint(rows).astype(np.int32), np.rint(columns).astype(np.int32)
    high, wide = anatomy.tissue.shape
    outside = (grid[0] < 0) | (grid[0] >= high) | (grid[1] < 0) | (grid[1] >= wide)
    index = np.clip(grid[0], 0, high - 1), np.clip(grid[1], 0, wide - 1)
    tissue, label = anatomy.tissue[index], anatomy.label[index]
    tissue[outside], label[outside] = Tissue.AIR, 0
    return Sample(tissue, label, _infiltrate(tissue, label, rng))


def _places(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Row and column in the anatomy for each pixel of the result."""
    full = anatomy.tissue.shape
    down, across = np.indices(STORED, dtype=np.float32)
    down += (full[0] - STORED[0]) - np.float32(anatomy.canal[0])
    across += (full[1] - STORED[1]) / 2 - np.float32(anatomy.canal[1])
    rows, columns = posture(down, across, Spread(size=0.13, stretch=0.06, shear=0.03, bend_px=4.5), rng)
    middles = [
        places.mean(0) - np.array(anatomy.canal)
        for side in (1, 2)
        if len(places := np.argwhere(anatomy.label == side))
    ]
    swell(rows, columns, middles, Bulk(mean=0.04, deviation=0.14, reach_px=24.0), rng)
    rows += np.float32(anatomy.canal[0])
    columns += np.float32(anatomy.canal[1])
    return rows, columns


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much postures and sizes differ: standard deviations, and the largest slow bend in pixels."""

    size: float
    stretch: float
    shear: float
    bend_px: float


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """How much muscles differ in size, and how far around their middle that reaches (Gaussian)."""

    mean: float
    deviation: float
    reach_px: float


def posture(
    down: Floats, across: Floats, spread: Spread, rng: np.random.Generator, *, scale: float = 1.0
) -> tuple[Floats, Floats]:
    """Where each pixel, given by its place, is taken from: turned, sized and bent at random."""
    # One person in eight lies turned or has a scoliosis. Chosen by us.
    angle = np.deg2rad(rng.normal(0.0, 4.0 if rng.random() < 0.875 else 12.0))
    zoom = scale * np.exp(-rng.normal(0.0, spread.size))
    stretch = np.exp(rng.normal(0.0, spread.stretch))
    shear = rng.normal(0.0, spread.shear)
    rows = zoom * stretch * (np.cos(angle) * down + np.sin(angle) * across)
    columns = zoom / stretch * (np.cos(angle) * across - np.sin(angle) * down + shear * down)
    for knots, amplitude in (((4, 5), rng.uniform(0.0, spread.bend_px)), ((13, 16), rng.uniform(0.0, 1.0))):
        rows += amplitude * smooth(down.shape, knots, rng)
        columns += amplitude * smooth(down.shape, knots, rng)
    return rows, columns


def swell(
    rows: Floats, columns: Floats, middles: Sequence[np.ndarray], bulk: Bulk, rng: np.random.Generator
) -> None:
    """Make each compartment larger or smaller around its own middle, in place."""
    both = rng.normal(bulk.mean, bulk.deviation)
    for middle in middles:
        down, across = rows - np.float32(middle[0]), columns - np.float32(middle[1])
        strength = np.float32(both + rng.normal(0.0, 0.08))
        fade = strength * np.exp(-(down * down + across * across) / np.float32(2 * bulk.reach_px**2))
        rows -= fade * down
        columns -= fade * across


def _infiltrate(tissue: Codes, label: Codes, rng: np.random.Generator) -> Codes:
    """Share of fat in each pixel of the compartments: streaks, lobules, septa, deep multifidus."""
    result = np.zeros(label.shape, np.uint8)
    common = _fat_share(rng)
    for side in (1, 2):
        inside = label == side
        if np.count_nonzero(inside) < 40:
            continue
        share = common if rng.random() < 0.7 else _fat_share(rng)
        result[inside] = _fat_of(inside, tissue, share, rng)
    diffuse = rng.uniform(0.0, 0.10) * 255
    muscle = label > 0
    raised = result[muscle] + diffuse * (1 - result[muscle] / 255.0)
    result[muscle] = np.clip(raised, 0, 255).astype(np.uint8)
    return result


def _fat_share(rng: np.random.Generator) -> float:
    """Share of a compartment that is fat: lean people and fatty ones, up to about two thirds."""
    if rng.random() < 0.35:
        return float(rng.uniform(0.0, 0.04))
    return float(rng.beta(1.4, 6.0))


def _fat_of(inside: Bools, tissue: Codes, share: float, rng: np.random.Generator) -> Codes:
    """Fat shares of the pixels of one compartment."""
    rows, columns = np.where(inside)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    crop, size = inside[window], inside[window].shape
    long, thin = rng.uniform(1.2, 4.0), rng.uniform(0.6, 1.4)
    score = rng.uniform(0.2, 1.0) * streaks(size, (long, thin), rng)
    score += rng.uniform(0.2, 1.0) * streaks(size, (rng.uniform(1.5, 3.5),) * 2, rng)
    score += rng.uniform(0.0, 0.8) * smooth(size, (3, 3), rng)
    multifidus = (tissue[window] == Tissue.MULTIFIDUS).astype(np.float32)
    score += rng.uniform(-0.2, 1.2) * ndimage.gaussian_filter(multifidus, 2.0)
    score += rng.uniform(0.0, 1.6) * _septum(multifidus, crop)
    edge = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    score = towards_edge(score, edge, rng)
    values = score[crop]
    limit = np.quantile(values, 1.0 - share)
    sharp = rng.uniform(3.0, 12.0) / (values.std() + 1e-6)
    fat = 1.0 / (1.0 + np.exp(-np.clip(sharp * (values - limit), -30, 30)))
    share_of_pixel: Codes = (fat * 255).astype(np.uint8)
    return share_of_pixel


def _septum(multifidus: Floats, inside: Bools) -> Floats:
    """High along the border between multifidus and erector spinae, where fat gathers first."""
    if not multifidus.any() or multifidus[inside].all():
        return np.zeros_like(multifidus)
    blurred = ndimage.gaussian_filter(multifidus, 1.5)
    border: Floats = 4.0 * blurred * (1.0 - blurred)
    return border


def towards_edge(score: Floats, depth: Floats, rng: np.random.Generator) -> Floats:
    """The score of where fat gathers, with what the edge of the muscle (``depth`` pixels away) changes.

    Most fat keeps off the edge, where it can belong to either side of the boundary; but in one of three it
    comes in whole lobules that reach the edge, which are easily taken for fat outside.
    """
    lobules = rng.random() < 0.33
    if lobules:
        coarse = rng.uniform(2.5, 5.0), rng.uniform(2.5, 5.0)
        score = 0.3 * score + 2.0 * streaks(score.shape, coarse, rng)
    keeps_off = 0.0 if lobules else rng.uniform(-1.5, 0.4)
    return score + keeps_off * np.exp(-depth / 1.5).astype(np.float32)
