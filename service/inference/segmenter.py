"""Running a network on a stack: from a volume to the compartment of each side."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core import prepare
from service.core.certainty import slice_certainty
from service.core.compartment import Compartment
from service.core.volume import Volume
from service.errors import ModelMismatch
from service.inference.card import Card, verify, whole_slices
from service.inference.providers import open_session

log = logging.getLogger(__name__)

#: How far the channels of a pixel may be from adding up to 1: bf16 has 8 bits, and three are added.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The answer of a network, on the source grid."""

    #: ``Compartment`` values, shape of the volume.
    compartment: NDArray[np.uint8]
    #: The answer to the mirrored image alone, mirrored back; None without test-time mirroring.
    mirrored: NDArray[np.uint8] | None
    #: The answer to the image alone, to be compared with ``mirrored``.
    plain: NDArray[np.uint8]
    #: ``certainty.MEASURES`` of every slice, shape (slices, measures); None where the network's
    #: probabilities were not looked at.
    certainty: NDArray[np.float32] | None = None


class Segmenter(Protocol):
    """Whatever can draw the compartment: the seam between the pipeline and a network."""

    card: Card
    provider: str
    precision: str

    def segment(self, volume: Volume) -> Segmentation:
        """Draw the compartment of each side on the volume's own grid."""
        ...


class SliceAnswer(NamedTuple):
    """Labels of one slice at its own size, from the averaged, the plain and the mirrored answer."""

    compartment: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    mirrored: NDArray[np.uint8]
    #: ``certainty.MEASURES``, taken at the network's pixel size.
    certainty: NDArray[np.float32]


class OnnxSegmenter:
    """A 2-D network in ONNX Runtime, run slice by slice, several side by side.

    The same slice gives the same labels bit by bit on the same provider, precision and kind of device,
    whatever other slices come with it. A slice is never cut to the body: without the air around it the
    network of version 0.2 changed 4 to 19 % of the compartment.
    """

    def __init__(
        self, card: Card, *, providers: tuple[str, ...] = (), precision: str = "", threads: int = 0
    ) -> None:
        self._contract = whole_slices(card)
        verify(card)
        self.card = card
        self._session, self.provider, self.precision, lanes = open_session(
            card.path,
            card.admitted,
            demanded=providers,
            precision=precision,
            threads=threads,
            side_by_side=True,
        )
        self._input_name = self._session.get_inputs()[0].name
        # ONNX Runtime, SciPy and NumPy compute without Python's lock.
        self._lanes = ThreadPoolExecutor(lanes, thread_name_prefix="network")
        facts = {"provider": self.provider, "precision": self.precision}
        log.info("network_loaded", extra={"model": card.name, "version": card.version, **facts})

    def segment(self, volume: Volume) -> Segmentation:
        """Draw the compartment of each side on the volume's own grid."""
        contract = self._contract
        turn = prepare.canonical_turn(volume.grid, *contract.orientation)
        slices = np.ascontiguousarray(turn.turn(volume.values), dtype=np.float32)
        spacing = turn.pixel_spacing_mm(volume.grid)
        shape = prepare.resampled_shape((slices.shape[1], slices.shape[2]), spacing, contract.spacing_mm)
        rule = contract.normalisation
        scale = prepare.positive_percentile(slices, rule.percentile) if rule.scope == "stack" else None
        answers = list(self._lanes.map(partial(self._slice, shape=shape, scale=scale), slices))

        def stacked(labels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
            return np.ascontiguousarray(turn.turn_back(np.stack(labels))).astype(np.uint8, copy=False)

        averaged = contract.tta == "flip_columns"
        return Segmentation(
            compartment=stacked([answer.compartment for answer in answers]),
            plain=stacked([answer.plain for answer in answers]),
            mirrored=stacked([answer.mirrored for answer in answers]) if averaged else None,
            certainty=np.stack([answer.certainty for answer in answers]),
        )

    def _slice(
        self, image: NDArray[np.float32], *, shape: tuple[int, int], scale: float | None
    ) -> SliceAnswer:
        """Labels of one canonical slice; ``shape`` is its size for the network, ``scale`` None: its own."""
        size = (image.shape[0], image.shape[1])
        rule = self._contract.normalisation
        small = prepare.resample(image, shape, blur=True)
        # Of the slice as the network sees it, which is how the training slices were scaled.
        scale = prepare.positive_percentile(small, rule.percentile) if scale is None else scale
        small = prepare.normalise(small, scale, rule.clip)
        if self._contract.tta == "none":
            sides = self._sides(small)
            labels = self._labels(prepare.resample(sides, size))
            return SliceAnswer(labels, labels, labels, self._certainty(sides[np.newaxis]))
        mirrored = self._sides(small[:, ::-1])[::-1, :, ::-1]
        answers = np.stack([self._sides(small), mirrored])
        both = prepare.resample(answers, size)
        mean, plain_labels, mirrored_labels = (self._labels(sides) for sides in (both.mean(axis=0), *both))
        return SliceAnswer(mean, plain_labels, mirrored_labels, self._certainty(answers))

    def _certainty(self, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        """How sure the network was of one slice; ``answers`` is (answers, sides, rows, columns)."""
        rows_mm, columns_mm = self._contract.spacing_mm
        return slice_certainty(answers, self.card.output.threshold, rows_mm * columns_mm)

    def _sides(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of the left and the right compartment of one prepared slice, (2, rows, columns)."""
        channels = self.card.output.channels
        order = [channels.index("compartment_left"), channels.index("compartment_right")]
        return self._probabilities(image)[order]

    def _probabilities(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of each channel for one prepared slice, shape (channels, rows, columns)."""
        padded = prepare.pad_to_multiple(image, self._contract.pad_multiple)
        feed = {self._input_name: np.ascontiguousarray(padded[np.newaxis, np.newaxis], dtype=np.float32)}
        answer = np.asarray(self._session.run(None, feed)[0])[0, :, : image.shape[0], : image.shape[1]]
        if answer.shape[0] != len(self.card.output.channels):
            raise ModelMismatch("The network has another number of channels than its card.")
        if self.card.output.activation == "none":
            return _require_probabilities(answer)
        exponents = np.exp(answer - answer.max(axis=0, keepdims=True))
        probabilities: NDArray[np.float32] = exponents / exponents.sum(axis=0, keepdims=True)
        return probabilities

    def _labels(self, sides: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Compartment where both sides together pass the threshold; the likelier side wins."""
        left, right = sides
        side = np.where(left >= right, np.uint8(Compartment.LEFT), np.uint8(Compartment.RIGHT))
        inside = left + right >= self.card.output.threshold
        labels: NDArray[np.uint8] = np.where(inside, side, np.uint8(Compartment.BACKGROUND))
        return labels


def _require_probabilities(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """The answer, if its channels add up to 1; a card that promises so may be wrong."""
    # Written so that what is no number fails too.
    if not np.abs(answer.sum(axis=0) - 1.0).max() <= SUM_TOLERANCE:
        raise ModelMismatch("The card says probabilities, but the network's channels do not add up to 1.")
    return answer
