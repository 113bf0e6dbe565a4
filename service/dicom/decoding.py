"""Compressed pixels, by the decoder that we trust for each transfer syntax.

The only decoder for the JPEG processes of 1992 that we may ship aborts the whole process on some
damaged images (gdcm 3.2 throws through C). So such files are first decoded in a process of their own.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.dicom.bounded import parse_inflated
from service.dicom.headers import FOREIGN_ERRORS, quiet
from service.errors import UnreadableSeries

FRAGILE_SYNTAXES: Final = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
PLUGINS: Final[dict[str, str]] = {
    **dict.fromkeys(FRAGILE_SYNTAXES, "gdcm"),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), "pylibjpeg"),
    RLELossless: "pylibjpeg",
}
#: A series decodes in seconds; a decoder that takes longer hangs. Chosen by us.
TRIAL_SECONDS: Final = 300


def open_compressed(path: Path, transfer_syntax_uid: str) -> Dataset:
    """A whole object with its compressed pixels; UnreadableSeries where these have no end."""
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        with path.open("rb") as file:
            dataset = parse_inflated(file)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    else:
        dataset = pydicom.dcmread(path, force=True)
    if "PixelData" not in dataset:
        raise UnreadableSeries(
            "The compressed pixels have no end, so the file was cut or badly written.",
            reason="truncated_pixels",
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    return dataset


def decode(dataset: Dataset, indices: Sequence[int] | None = None) -> list[NDArray[Any]]:
    """The wanted frames, by index from 0 (all by default)."""
    plugin = PLUGINS.get(str(dataset.file_meta.TransferSyntaxUID), "")
    wanted = None if indices is None else list(indices)
    with _panics_as_errors():
        return list(iter_pixels(dataset, indices=wanted, raw=True, decoding_plugin=plugin))


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Turn the panic of a decoder written in Rust, which no ``except Exception`` sees, into an error."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise UnreadableSeries("The pixels cannot be decoded.", reason="undecodable_pixels") from error


def require_decodable(paths: Sequence[Path]) -> None:
    """Decode files in a process of its own; UnreadableSeries where that process fails or dies."""
    command = [sys.executable, "-m", __name__, *(str(path.resolve()) for path in paths)]
    root = Path(__file__).resolve().parents[2]
    try:
        trial = subprocess.run(command, cwd=root, capture_output=True, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnreadableSeries("Decoding the pixels took too long.", reason="undecodable_pixels") from error
    if trial.returncode != 0:
        raise UnreadableSeries("The pixels cannot be decoded.", reason="undecodable_pixels")


@quiet()
def main(paths: Sequence[str]) -> int:
    """Decode all frames of all files; 0 where that succeeds."""
    try:
        for path in paths:
            decode(pydicom.dcmread(path, force=True))
    except (*FOREIGN_ERRORS, OSError, UnreadableSeries):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
