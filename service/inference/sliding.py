"""Running a network on patches of a stack, as nnU-Net's predictor does.

One slab of patches is held at a time: its slices are finished, brought back to the source grid and
decided one by one, so that memory grows with one slab and not with the length of the stack.
"""

import logging
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.core import prepare, resampling, windows
from service.core.compartment import Compartment
from service.core.resampling import Shape, Spacing
from service.core.volume import Grid, Volume
from service.errors import ModelMismatch, ProviderUnavailable
from service.inference.card import Card, patches, verify
from service.inference.providers import open_session
from service.inference.segmenter import OnnxSegmenter, Segmentation, Segmenter
from service.inference.window import WindowContract

log = logging.getLogger(__name__)

#: What a channel of this name says of the compartment.
ROLES = {"compartment_left": Compartment.LEFT, "compartment_right": Compartment.RIGHT}


def load_segmenter(
    card: Card, *, providers: tuple[str, ...] = (), precision: str = "", threads: int = 0
) -> Segmenter:
    """The segmenter that the card asks for."""
    kind = SlidingSegmenter if isinstance(card.input, WindowContract) else OnnxSegmenter
    return kind(card, providers=providers, precision=precision, threads=threads)


class SlidingSegmenter:
    """One or several networks of the same shape, slid over the volume; their answers are averaged."""

    def __init__(
        self, card: Card, *, providers: tuple[str, ...] = (), precision: str = "", threads: int = 0
    ) -> None:
        self._contract = patches(card)
        verify(card)
        self.card = card
        opened = [
            open_session(
                weights.path, card.admitted, demanded=providers, precision=precision, threads=threads
            )
            for weights in card.weights
        ]
        if len({(one.provider, one.precision) for one in opened}) > 1:
            raise ProviderUnavailable(f"The folds of {card.name} would run on different providers.")
        self.provider, self.precision = opened[0].provider, opened[0].precision
        self._sessions = [one.session for one in opened]
        # A flat patch is one voxel thick.
        slices, rows, columns = (1, *self._contract.patch)[-3:]
        self._patch: Shape = (slices, rows, columns)
        self._importance = windows.importance(self._contract.patch).reshape(self._patch)
        self._roles = np.array(
            [ROLES.get(name, Compartment.BACKGROUND) for name in card.output.channels], dtype=np.uint8
        )
        log.info(
            "network_loaded", extra={"model": card.name, "version": card.version, "provider": self.provider}
        )

    def segment(self, volume: Volume) -> Segmentation:
        """Draw the compartment of each side on the volume's own grid."""
        compartment = self._roles[self.labels(volume)]
        return Segmentation(compartment=compartment, plain=compartment, mirrored=None)

    def labels(self, volume: Volume) -> NDArray[np.uint8]:
        """The channel that wins at each voxel of the volume's own grid."""
        way = _Way(volume.grid, self._contract)
        values = way.there(volume.values)
        found = np.zeros(values.shape, dtype=np.uint8)
        box = windows.nonzero_box(values)
        if box is not None:
            found[box] = self._decide(np.ascontiguousarray(values[box]), way.spacing_mm)
        return way.back(found)

    def _decide(self, values: NDArray[np.float32], spacing: Spacing) -> NDArray[np.uint8]:
        """The winning channels of a volume in the network's axes, without empty borders."""
        contract = self._contract
        source: Shape = (values.shape[0], values.shape[1], values.shape[2])
        steps = contract.spacing_mm if contract.layout == "3d" else (spacing[0], *contract.spacing_mm)
        target: Spacing = (steps[0], steps[1], steps[2])
        values = windows.normalise(values, contract.normalisation, masked=contract.masked)
        values = resampling.resample_image(
            values,
            resampling.resampled_shape(source, spacing, target),
            resampling.separate_axis(spacing, target, contract.resampling),
            contract.resampling,
        )
        # The answers travel the other way, and by the rule for answers.
        apart = resampling.separate_axis(target, spacing, contract.answer_resampling)
        rule = contract.answer_resampling
        along = [
            resampling.taps(length, wanted, rule.order_z if axis == apart else rule.order)
            for axis, (length, wanted) in enumerate(zip(values.shape, source, strict=True))
        ]
        return self._winners(self._answers(values), along, source)

    def _winners(
        self, answers: Iterator[NDArray[np.float32]], along: list[resampling.Taps], shape: Shape
    ) -> NDArray[np.uint8]:
        """The largest channel at each voxel of the source grid, slice by slice."""
        winners = np.empty(shape, dtype=np.uint8)
        held: dict[int, NDArray[np.float32]] = {}
        arrived = -1
        wanted = {*along[0].first.tolist(), *along[0].second.tolist()}
        for index, (first, second, share) in enumerate(
            zip(along[0].first.tolist(), along[0].second.tolist(), along[0].share, strict=True)
        ):
            while arrived < second:
                answer = next(answers)
                arrived += 1
                if arrived in wanted:
                    rows = resampling.interpolate(answer, along[1], 1)
                    held[arrived] = resampling.interpolate(rows, along[2], 2)
            held = {place: answer for place, answer in held.items() if place >= first}
            mixed = held[first] if share == 0 else held[first] * (1 - share) + held[second] * share
            winners[index] = mixed.argmax(axis=0)
        return winners

    def _answers(self, values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The network's answer for each slice in turn, shape (channels, rows, columns)."""
        padded, box = windows.pad_to_patch(values, self._patch)
        depth = self._patch[0]
        starts = [
            windows.window_starts(length, side, self._contract.overlap if side > 1 else 0.0)
            for length, side in zip(padded.shape, self._patch, strict=True)
        ]
        sums = np.zeros((len(self._roles), depth, *padded.shape[1:]), dtype=np.float32)
        weights = np.zeros((depth, *padded.shape[1:]), dtype=np.float32)
        for start, following in pairwise([*starts[0], padded.shape[0]]):
            for row in starts[1]:
                for column in starts[2]:
                    rows, columns = slice(row, row + self._patch[1]), slice(column, column + self._patch[2])
                    answer = self._answer(padded[start : start + depth, rows, columns])
                    answer *= self._importance
                    sums[:, :, rows, columns] += answer
                    weights[:, rows, columns] += self._importance
            finished = following - start
            for index in range(finished):
                if box[0].start <= start + index < box[0].stop:
                    yield (sums[:, index] / weights[index])[:, box[1], box[2]]
            for slab in (sums, weights[np.newaxis]):
                # One by one: NumPy would copy the whole slab to move it within itself.
                for index in range(depth - finished):
                    slab[:, index] = slab[:, index + finished]
                slab[:, depth - finished :] = 0.0

    def _answer(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The averaged answer to one patch, shape (channels, slices, rows, columns)."""
        shape = self._contract.patch
        ways = windows.mirrorings(self._contract.mirror_axes)
        total = np.zeros((len(self._roles), *shape), dtype=np.float32)
        for axes in ways:
            seen = np.ascontiguousarray(np.flip(patch.reshape(shape), axes))[np.newaxis, np.newaxis]
            for session in self._sessions:
                answer = np.asarray(session.run(None, {session.get_inputs()[0].name: seen})[0])[0]
                if answer.shape != total.shape:
                    raise ModelMismatch("The network answers in another shape than its card says.")
                total += np.flip(answer, tuple(axis + 1 for axis in axes))
        total /= len(ways) * len(self._sessions)
        return total.reshape(len(self._roles), *self._patch)


class _Way:
    """From the source grid to the axes of the network and back; only swaps and flips."""

    def __init__(self, grid: Grid, contract: WindowContract) -> None:
        self._turn = prepare.canonical_turn(grid, *contract.orientation)
        onwards = -np.array(prepare.DIRECTIONS[contract.first_slice])
        self._reverse = float(grid.normal @ onwards) < 0
        self._axes = contract.axes
        steps = (grid.slice_step_mm or 1.0, *self._turn.pixel_spacing_mm(grid))
        first, second, third = (steps[axis] for axis in contract.axes)
        self.spacing_mm: Spacing = (first, second, third)

    def there(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Source slices as the network's axes run."""
        turned = self._turn.turn(values)[:: -1 if self._reverse else 1].transpose(self._axes)
        return np.ascontiguousarray(turned, dtype=np.float32)

    def back(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels on the source grid."""
        turned = labels.transpose(np.argsort(self._axes))[:: -1 if self._reverse else 1]
        return np.ascontiguousarray(self._turn.turn_back(turned), dtype=np.uint8)
