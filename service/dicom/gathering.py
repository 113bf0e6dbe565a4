"""Files gathered into series by their headers, as long as a series is of a size that images come in."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.dicom.frames import SCAN_TAGS, HeaderFrame, read_frames
from service.dicom.headers import Attributes, Header, read_header
from service.dicom.stack import UnreadableFile
from service.errors import Reason, UnreadableSeries

log = logging.getLogger(__name__)

#: Headers of one series that take more memory are not kept. Chosen by us: some 12 000 single images, or
#: fifty Enhanced MR objects of 1000 frames; dynamic and diffusion series of the spine stay far below.
LARGEST_SERIES_BYTES: Final = 512 * 2**20
#: A series of more stacks is no examination of the spine, and each would be an analysis. Chosen by us:
#: ten times the phases of a dynamic series.
MOST_STACKS: Final = 1000

DUPLICATE: Final = Reason("duplicate_instance", "Another file holds an image of the same identity.")
TOO_MANY_IMAGES: Final = Reason("too_large", "The series has more images than can be looked at together.")
TOO_MANY_STACKS: Final = Reason(
    "too_many_stacks", f"The images of the series form more than {MOST_STACKS} stacks."
)


class Gathering:
    """Frames by series, and the files that are part of none."""

    def __init__(self) -> None:
        self.frames: dict[str, list[HeaderFrame]] = defaultdict(list)
        self.unreadable: list[UnreadableFile] = []
        self._seen: set[str] = set()
        self._weight: Counter[str] = Counter()

    def add(self, path: Path) -> None:
        """Read the header of one file; a DICOMDIR is passed over."""
        header: Header | None = None
        try:
            header = read_header(path, SCAN_TAGS)
            frames = read_frames(path, header) if header else []
        except UnreadableSeries as error:
            log.info("file_unreadable", extra={"code": error.reason.code})
            self.unreadable.append(_unreadable(path, header, error.reason))
            return
        if header is None or not frames:
            return
        series_uid, uid = frames[0].series_uid, frames[0].ref.sop_instance_uid
        if uid in self._seen:
            self.unreadable.append(_unreadable(path, header, DUPLICATE))
            return
        self._seen.add(uid)
        self._weight[series_uid] += header.weight
        if self._weight[series_uid] <= LARGEST_SERIES_BYTES:
            self.frames[series_uid] += frames
            return
        self.refuse(self.frames.pop(series_uid, []), TOO_MANY_IMAGES)
        self.unreadable.append(_unreadable(path, header, TOO_MANY_IMAGES))

    def refuse(self, frames: Sequence[HeaderFrame], reason: Reason) -> None:
        """List the files of frames that cannot form a stack, each once."""
        if frames:
            log.info("stack_unreadable", extra={"code": reason.code})
        attributes = {frame.ref.path: frame.attributes for frame in frames}
        self.unreadable += [_of(path, attributes[path], reason) for path in sorted(attributes)]


def _unreadable(path: Path, header: Header | None, reason: Reason) -> UnreadableFile:
    """A file that is part of no stack, with the identity its header still tells."""
    return _of(path, Attributes((header.dataset,) if header else ()), reason)


def _of(path: Path, attributes: Attributes, reason: Reason) -> UnreadableFile:
    return UnreadableFile(
        path=path,
        sop_instance_uid=attributes.text("SOPInstanceUID") or None,
        series_uid=attributes.text("SeriesInstanceUID") or None,
        reason=reason,
    )
