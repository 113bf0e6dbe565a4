"""The ways in which the objects of one result are made: what peers ask for differs, the measures do not."""

from dataclasses import dataclass, replace
from typing import Literal

from service.core.language import Language

#: Binary: one frame a segment and slice. Label map: one frame a slice; ten times smaller in RLE, but many
#: archives and viewers do not know it yet (DICOM.md 1.1), so it is for peers that say they do.
Encoding = Literal["binary", "labelmap"]
#: The class that IHE names for reports of measurements, and two older ones for archives that refuse it.
SrClass = Literal["comprehensive3d", "comprehensive", "enhanced"]
#: Every number with its segment; or an outline on one slice with the main numbers.
SrForm = Literal["volumetric", "planar"]


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
    def fallback(self) -> "Variant | None":
        """What a peer gets that turns out not to take this one; None where there is nothing plainer.

        The whole set changes, because the report names the segmentation.
        """
        if self.encoding == "labelmap":
            return replace(self, encoding="binary")
        return None


def all_variants(wanted: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each that is wanted, and what it falls back to, once; English with flags where nobody asks."""
    found = [each for first in wanted for each in (first, first.fallback) if each is not None]
    return tuple(dict.fromkeys(found)) or (Variant(),)
