"""The ways in which the objects of one result are made: what peers ask for differs, the measures do not."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from service.core.language import Language

Encoding = Literal["binary", "labelmap"]
SrClass = Literal["comprehensive3d", "comprehensive", "enhanced"]
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
            return Variant(**{**asdict(self), "encoding": "binary"})
        return None

    def as_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return asdict(self)


def all_variants(wanted: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each that is wanted, and what it falls back to, once; English with flags where nobody asks."""
    found = [each for first in wanted for each in (first, first.fallback) if each is not None]
    return tuple(dict.fromkeys(found)) or (Variant(),)
