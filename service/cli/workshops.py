"""From settings to the workshop of an analysis."""

from dataclasses import dataclass
from pathlib import Path

from service.pipeline.analyse import Workshop, build_workshop
from service.pipeline.references import bundled_models_dir
from service.settings import Settings


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
    flags: bool

    def __call__(self) -> Workshop:
        """Build it; raises a ServiceError naming what is wrong."""
        return build_workshop(
            models_dir=self.models_dir,
            model=self.model,
            norms=self.norms,
            policy=self.policy,
            providers=self.providers,
            precision=self.precision,
            threads=self.threads,
            institution=self.institution,
            flags=self.flags,
        )


def recipe_from(settings: Settings, *, for_peers: bool = False) -> WorkshopRecipe:
    """The recipe that the settings describe.

    One set of objects serves all peers, so ``for_peers`` flag texts appear in it only where every
    peer that gets results wants them.
    """
    receivers = [peer for peer in settings.peer if peer.outputs]
    return WorkshopRecipe(
        models_dir=settings.models_dir or bundled_models_dir(),
        model=settings.model,
        norms=settings.norms,
        policy=settings.policy,
        providers=settings.execution_providers,
        precision=settings.precision,
        threads=settings.inference_threads,
        institution=settings.institution_name,
        flags=not for_peers or all(peer.flags for peer in receivers),
    )
