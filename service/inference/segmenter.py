"""Running a network on a stack: from a volume to the compartment of each side."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.core import prepare
from service.core.compartment import Compartment
from service.core.volume import Volume
from service.errors import ModelMismatch, ProviderUnavailable
from service.inference.card import Card, verify

log = logging.getLogger(__name__)

#: What is tried when nothing is demanded, best first, as far as the card admits it.
PREFERENCE = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


#: TF32 would make "fp32" untrue, and a search for the fastest kernel could choose another one each time.
PROVIDER_OPTIONS = {
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The answer of a network, on the source grid."""

    #: ``Compartment`` values, shape of the volume.
    compartment: NDArray[np.uint8]
    #: The answer to the mirrored image alone, mirrored back; None without test-time mirroring.
    mirrored: NDArray[np.uint8] | None
    #: The answer to the image alone, to be compared with ``mirrored``.
    plain: NDArray[np.uint8]


class Segmenter(Protocol):
    """Whatever can draw the compartment: the seam between the pipeline and a network."""

    card: Card
    provider: str
    precision: str

    def segment(self, volume: Volume) -> Segmentation:
        """Draw the compartment of each side on the volume's own grid."""
        ...


class OnnxSegmenter:
    """A 2-D network in ONNX Runtime, run slice by slice.

    The same input gives the same output bit by bit on the same provider, precision and kind of
    device.
    """

    def __init__(self, card: Card, *, providers: tuple[str, ...] = (), threads: int = 0) -> None:
        verify(card)
        self.card = card
        self.precision = card.precision
        self._session = _session(card, providers, threads)
        # Only the session knows what really runs; the list of what is installed does not.
        self.provider = str(self._session.get_providers()[0])
        _refuse_silent_fallback(self.provider, providers)
        self._input_name = self._session.get_inputs()[0].name
        log.info(
            "network_loaded", extra={"model": card.name, "version": card.version, "provider": self.provider}
        )

    def segment(self, volume: Volume) -> Segmentation:
        """Draw the compartment of each side on the volume's own grid."""
        contract = self.card.input
        turn = prepare.canonical_turn(volume.grid, *contract.orientation)
        slices = np.ascontiguousarray(turn.turn(volume.values), dtype=np.float32)
        spacing = turn.pixel_spacing_mm(volume.grid)
        shape = prepare.resampled_shape((slices.shape[1], slices.shape[2]), spacing, contract.spacing_mm)
        stack_scale = prepare.positive_percentile(slices, contract.normalisation.percentile)
        answers = [self._slice(image, shape, stack_scale) for image in slices]
        mean, plain, mirrored = (
            np.ascontiguousarray(turn.turn_back(np.stack(labels))).astype(np.uint8)
            for labels in zip(*answers, strict=True)
        )
        averaged = contract.tta == "flip_columns"
        return Segmentation(compartment=mean, plain=plain, mirrored=mirrored if averaged else None)

    def _slice(
        self, image: NDArray[np.float32], shape: tuple[int, int], stack_scale: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Labels from the averaged, the plain and the mirrored answer, at the size of ``image``."""
        rule = self.card.input.normalisation
        small = prepare.resample(image, shape, blur=True)
        # Of the slice as the network sees it, which is how the training slices were scaled.
        scale = stack_scale if rule.scope == "stack" else prepare.positive_percentile(small, rule.percentile)
        small = prepare.normalise(small, scale, rule.clip)
        plain = self._probabilities(small)
        if self.card.input.tta == "none":
            labels = self._labels(plain, image.shape)
            return labels, labels, labels
        mirrored = self._swap_sides(self._probabilities(small[:, ::-1])[:, :, ::-1])
        answers = ((plain + mirrored) / 2.0, plain, mirrored)
        mean_labels, plain_labels, mirrored_labels = (self._labels(answer, image.shape) for answer in answers)
        return mean_labels, plain_labels, mirrored_labels

    def _probabilities(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of each channel for one prepared slice, shape (channels, rows, columns)."""
        padded = prepare.pad_to_multiple(image, self.card.input.pad_multiple)
        feed = {self._input_name: np.ascontiguousarray(padded[np.newaxis, np.newaxis], dtype=np.float32)}
        answer = np.asarray(self._session.run(None, feed)[0])[0, :, : image.shape[0], : image.shape[1]]
        if answer.shape[0] != len(self.card.output.channels):
            raise ModelMismatch("The network has another number of channels than its card.")
        if self.card.output.activation == "none":
            return _require_probabilities(answer)
        exponents = np.exp(answer - answer.max(axis=0, keepdims=True))
        probabilities: NDArray[np.float32] = exponents / exponents.sum(axis=0, keepdims=True)
        return probabilities

    def _swap_sides(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The channels as they read when the image was mirrored: left and right change places."""
        mirror = {"compartment_left": "compartment_right", "compartment_right": "compartment_left"}
        channels = self.card.output.channels
        return probabilities[[channels.index(mirror.get(name, name)) for name in channels]]

    def _labels(self, probabilities: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Compartment where both sides together pass the threshold; the likelier side wins."""
        channels = self.card.output.channels
        size = (shape[0], shape[1])
        left = prepare.resample(probabilities[channels.index("compartment_left")], size)
        right = prepare.resample(probabilities[channels.index("compartment_right")], size)
        side = np.where(left >= right, Compartment.LEFT, Compartment.RIGHT).astype(np.uint8)
        inside = left + right >= self.card.output.threshold
        labels: NDArray[np.uint8] = np.where(inside, side, np.uint8(Compartment.BACKGROUND)).astype(np.uint8)
        return labels


def _session(card: Card, providers: tuple[str, ...], threads: int) -> Any:
    """An ONNX Runtime session on the demanded providers, or on the best that the card admits."""
    installed = ort.get_available_providers()
    wanted = providers or tuple(name for name in PREFERENCE if name in card.providers and name in installed)
    refused = [name for name in wanted if name not in card.providers]
    if refused:
        raise ProviderUnavailable(f"The card of {card.name} does not admit {', '.join(refused)}.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    chosen = [(name, PROVIDER_OPTIONS.get(name, {})) for name in wanted]
    with warnings.catch_warnings():
        # A provider that is not installed is warned about here and judged by the session below.
        warnings.simplefilter("ignore", UserWarning)
        session = ort.InferenceSession(str(card.path), sess_options=options, providers=chosen)
    session.disable_fallback()
    return session


def _require_probabilities(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """The answer, if its channels add up to 1; a card that promises so may be wrong."""
    if not np.allclose(answer.sum(axis=0), 1.0, atol=1e-3):
        raise ModelMismatch("The card says probabilities, but the network's channels do not add up to 1.")
    return answer


def _refuse_silent_fallback(provider: str, demanded: tuple[str, ...]) -> None:
    """What is demanded first must be what runs; ONNX Runtime itself would go on without a word.

    Whoever wants "the best there is" demands nothing.
    """
    if demanded and provider != demanded[0]:
        raise ProviderUnavailable(f"{demanded[0]} was demanded, but the session runs on {provider}.")
