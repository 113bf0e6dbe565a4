"""The ways in which the objects of one result are made: what peers ask for differs, the measures do not."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal

from service.core.language import Language

#: Binary: one frame a segment and slice. Label map: one frame a slice; ten times smaller in RLE, but many
#: archives and viewers do not know it yet (DICOM.md 1.1), so it is for peers that say they do.
Encoding = Literal["binary", "labelmap"]
#: The class that IHE names for reports of measurements, and two older ones for archives that refuse it.
SrClass = Literal["comprehensive3d", "comprehensive", "enhanced"]
#: Every number with its segment; or an outline on one slice with the main numbers.
SrForm = Literal["volumetric", "planar"]

#: PS3.4 B.5; each takes the place of the one before where a peer refuses that.
SR_CLASS_UIDS: Final[dict[SrClass, str]] = {
    "comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}
#: PS3.4 B.5: Label Map Segmentation Storage.
LABEL_MAP_UID: Final = "1.2.840.10008.5.1.4.1.1.66.7"
#: The SOP class by which a peer refuses what has something plainer.
REFUSABLE: Final[dict[str, str]] = {
    "labelmap": LABEL_MAP_UID,
    **{name: uid for name, uid in SR_CLASS_UIDS.items() if name != "enhanced"},
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What differs between the objects for one peer and for another."""

    language: Language = "en"
    #: Whether flag texts stand in the objects.
    flags: bool = True
    encoding: Encoding = "binary"
    sr_class: SrClass = "comprehensive3d"
    sr_form: SrForm = "volumetric"

    @property
    def name(self) -> str:
        """How it is told from others in rows and file names."""
        parts: list[str] = [self.language]
        parts += ["flags"] if self.flags else []
        parts += [self.encoding] if self.encoding != "binary" else []
        parts += [self.sr_class] if self.sr_class != "comprehensive3d" else []
        parts += [self.sr_form] if self.sr_form != "volumetric" else []
        return "-".join(parts)

    @property
    def shape(self) -> "Variant":
        """What shapes the segmentation, which neither language nor flags do."""
        return Variant(encoding=self.encoding)

    @property
    def page(self) -> "Variant":
        """What shapes the drawn pages, which neither encoding nor class nor form do."""
        return Variant(language=self.language, flags=self.flags)

    @property
    def content(self) -> "Variant":
        """What shapes the content of the report, which is the same in every class."""
        return replace(self, sr_class="comprehensive3d")

    @property
    def refusable(self) -> tuple[str, ...]:
        """What of it a peer may refuse and get something plainer for."""
        return tuple(part for part in (self.encoding, self.sr_class) if part in REFUSABLE)

    def without(self, refused: Collection[str]) -> "Variant":
        """What a peer gets that refuses these parts: the plainer of each, as one set.

        The whole set changes, because the report names the segmentation, and the document the report.
        """
        classes = list(SR_CLASS_UIDS)
        later = (name for name in classes[classes.index(self.sr_class) :] if name not in refused)
        return replace(
            self,
            encoding="binary" if self.encoding in refused else self.encoding,
            sr_class=next(later, classes[-1]),
        )

    def taken_from(self, refused: Collection[str]) -> tuple[str, ...]:
        """What of these refusals makes it plainer; a peer may have refused what nobody offers it any more."""
        classes = list(SR_CLASS_UIDS)
        offered = {self.encoding, *classes[classes.index(self.sr_class) :]}
        return tuple(part for part in REFUSABLE if part in refused and part in offered)

    @property
    def fallbacks(self) -> "tuple[Variant, ...]":
        """All that a peer may get in its place; none where there is nothing plainer."""
        classes = list(SR_CLASS_UIDS)
        encodings: dict[Encoding, None] = dict.fromkeys((self.encoding, "binary"))
        plainer = [
            replace(self, encoding=encoding, sr_class=sr_class)
            for encoding in encodings
            for sr_class in classes[classes.index(self.sr_class) :]
        ]
        return tuple(plainer[1:])


def all_variants(wanted: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each that is wanted, and what it falls back to, once; English with flags where nobody asks."""
    found = [each for first in wanted for each in (first, *first.fallbacks)]
    return tuple(dict.fromkeys(found)) or (Variant(),)
