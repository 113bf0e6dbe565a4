"""How to build the workshop of an analysis, as plain values that travel to another process."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.core.variant import Variant

if TYPE_CHECKING:
    from service.pipeline.analyse import Workshop


@dataclass(frozen=True)
class WorkshopRecipe:
    """How to build the workshop, in this process or in a child (so it travels as plain values)."""

    models_dir: Path
    model: str
    norms: tuple[str, ...]
    policy: str
    providers: tuple[str, ...]
    precision: str
    threads: int
    institution: str
    variants: tuple[Variant, ...] = (Variant(),)
    gsps: bool = False
    keep: bool = False
    slices_mb: int = 0

    def __call__(self) -> "Workshop":
        """Build it; raises a ServiceError naming what is wrong."""
        # Whoever only hands the recipe on need not load what it is made with.
        from service.pipeline.analyse import build_workshop  # noqa: PLC0415

        return build_workshop(
            models_dir=self.models_dir,
            model=self.model,
            norms=self.norms,
            policy=self.policy,
            providers=self.providers,
            precision=self.precision,
            threads=self.threads,
            institution=self.institution,
            variants=self.variants,
            gsps=self.gsps,
            keep=self.keep,
            slices_mb=self.slices_mb,
        )

    def with_segmenter_of(self, workshop: "Workshop") -> "Workshop":
        """Build it around the network that another workshop has open."""
        from service.pipeline.references import read_norms, read_policy  # noqa: PLC0415 - as above

        return replace(
            workshop,
            norms=read_norms(self.models_dir, self.norms),
            policy=read_policy(self.models_dir, self.policy),
        )

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, ready for JSON."""
        return {**asdict(self), "models_dir": str(self.models_dir)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "WorkshopRecipe":
        """The recipe that ``as_dict`` wrote."""
        lists = {name: tuple(content[name]) for name in ("norms", "providers")}
        variants = tuple(Variant(**variant) for variant in content["variants"])
        folder = Path(content["models_dir"])
        return cls(**{**content, **lists, "variants": variants, "models_dir": folder})
