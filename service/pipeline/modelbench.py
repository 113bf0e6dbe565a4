"""How fast a network is on each provider and precision, and whether its answers stay the same.

The reference is fp32 on the processor by plain ONNX Runtime. Each pair is tried in a process of its own,
because some providers settle for the whole process how they compute, and the reference runs there in turn
with it, so that a busy machine slows both.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.compartment import clean_compartment
from service.core.eligibility import reasons_not_eligible
from service.core.fat import fat_of_stack
from service.core.volume import Volume
from service.dicom.phantom import paraspinal_phantom
from service.dicom.series import read_volume, scan
from service.dicom.synthesis import axial_grid
from service.errors import NotAssessable, ServiceError, UnreadableSeries
from service.inference.card import EQUIVALENCE_LIMITS, Admitted, Card
from service.inference.providers import CPU, PREFERENCE, why_not
from service.inference.segmenter import Segmenter
from service.inference.sliding import load_segmenter

REFERENCE = Admitted(provider=CPU, precision="fp32")


@dataclass(frozen=True, kw_only=True, eq=False)
class Specimen:
    """One stack that is tried."""

    name: str
    contrast: str
    volume: Volume


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one pair of provider and precision."""

    provider: str
    precision: str
    #: Why it could not be tried; the numbers are None then.
    fault: str | None = None
    ms_per_slice: float | None = None
    #: Of the reference, measured in turn with it.
    reference_ms_per_slice: float | None = None
    #: The worst specimen's, as the card writes them; IMAT None: no specimen's fat could be told.
    label_disagreement: float | None = None
    imat_difference_points: float | None = None

    @property
    def equivalent(self) -> bool:
        """Whether the card may admit it."""
        measured = (getattr(self, name) for name in EQUIVALENCE_LIMITS)
        limits = EQUIVALENCE_LIMITS.values()
        return all(
            value is not None and value <= limit for value, limit in zip(measured, limits, strict=True)
        )


def phantoms(card: Card, slices: int) -> list[Specimen]:
    """The bundled phantom in each contrast in which the card tells fat; the first is timed."""
    specimens = []
    for contrast in card.fat_methods or ("t2_tse",):
        drawn = paraspinal_phantom(contrast=contrast, slices=slices)
        values, grid = drawn.image.astype(np.float32), axial_grid(drawn.image.shape, drawn.spacing_mm)
        specimens.append(Specimen(name="phantom", contrast=contrast, volume=Volume(values=values, grid=grid)))
    return specimens


def stacks(card: Card, paths: Sequence[Path]) -> tuple[list[Specimen], int]:
    """Every stack of these files of DICOM that the card's intended use admits, and how many were passed over.

    Of another one, such as a localizer, no answer is ever used, and many cannot be shown to the network.
    """
    found = scan(paths).stacks
    specimens = []
    for stack in found:
        if not reasons_not_eligible(stack.facts, card.intended_use):
            with suppress(UnreadableSeries):
                volume = read_volume(stack)
                specimens.append(Specimen(name="stack", contrast=stack.facts.contrast, volume=volume))
    return specimens, len(found) - len(specimens)


def try_all(card: Card, specimens: Sequence[Specimen], *, repeats: int, threads: int) -> Iterator[Trial]:
    """Try every pair that is known; what cannot be had here comes with the reason."""
    for provider, precision in PREFERENCE:
        reason = why_not(provider, precision)
        if reason:
            yield Trial(provider=provider, precision=precision, fault=reason)
            continue
        pair = Admitted(provider=provider, precision=precision)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            trial = process.submit(try_pair, card, pair, specimens, repeats=repeats, threads=threads)
            try:
                yield trial.result()
            except BrokenProcessPool:
                yield Trial(provider=provider, precision=precision, fault="It ended its process.")


def try_pair(
    card: Card, pair: Admitted, specimens: Sequence[Specimen], *, repeats: int, threads: int
) -> Trial:
    """Time the first specimen, and compare the answers to all of them with the reference's."""
    trial = Trial(provider=pair.provider, precision=pair.precision)
    try:
        # For the trial alone, whatever the card admits.
        candidate = load_segmenter(replace(card, admitted=(pair,)), threads=threads)
    except ServiceError as error:
        return replace(trial, fault=error.reason.text)
    reference = load_segmenter(replace(card, admitted=(REFERENCE,)), threads=threads)
    try:
        return _compared(trial, card, candidate, reference, specimens, repeats=repeats)
    except Exception as error:  # noqa: BLE001 - a provider may fail in any way; the table says that it did
        return replace(trial, fault=f"{type(error).__name__} while it ran.")


def _compared(
    trial: Trial,
    card: Card,
    candidate: Segmenter,
    reference: Segmenter,
    specimens: Sequence[Specimen],
    *,
    repeats: int,
) -> Trial:
    """The trial with its numbers; comparing comes first, so that no first run is timed."""
    compared = [
        _difference(
            specimen,
            card,
            clean_compartment(reference.segment(specimen.volume).compartment),
            clean_compartment(candidate.segment(specimen.volume).compartment),
        )
        for specimen in specimens
    ]
    timed = specimens[0].volume
    seconds: dict[str, list[float]] = {"candidate": [], "reference": []}
    for _ in range(repeats):
        for name, segmenter in (("candidate", candidate), ("reference", reference)):
            start = time.perf_counter()
            segmenter.segment(timed)
            seconds[name].append(time.perf_counter() - start)
    imat = [points for _, points in compared if points is not None]
    ms = {name: 1e3 * statistics.median(values) / len(timed.values) for name, values in seconds.items()}
    return replace(
        trial,
        ms_per_slice=ms["candidate"],
        reference_ms_per_slice=ms["reference"],
        label_disagreement=max(share for share, _ in compared),
        imat_difference_points=max(imat) if imat else None,
    )


def _difference(
    specimen: Specimen, card: Card, one: NDArray[np.uint8], other: NDArray[np.uint8]
) -> tuple[float, float | None]:
    """Voxels with another label as a share of the compartment, and how far the IMAT is apart in points."""
    share = int(np.count_nonzero(one != other)) / max(1, int(np.count_nonzero(one)))
    fractions = [_imat_percent(specimen, card, labels) for labels in (one, other)]
    if None in fractions:
        return share, None
    first, second = (float(value or 0.0) for value in fractions)
    return share, abs(first - second)


def _imat_percent(specimen: Specimen, card: Card, labels: NDArray[np.uint8]) -> float | None:
    """Share of the compartment that is fat; None where the contrast or the stack does not tell."""
    method = card.fat_methods.get(specimen.contrast)
    if method is None or not labels.any():
        return None
    inside = labels > 0
    try:
        fat = fat_of_stack(specimen.volume, inside, card.input.orientation, method, card.fat_reference)
    except NotAssessable:
        return None
    return 100.0 * np.count_nonzero(fat) / np.count_nonzero(inside)
