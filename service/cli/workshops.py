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
    threads: int
    institution: str

    def __call__(self) -> Workshop:
        """Build it; raises a ServiceError naming what is wrong."""
        return build_workshop(
            models_dir=self.models_dir,
            model=self.model,
            norms=self.norms,
            policy=self.policy,
            providers=self.providers,
            threads=self.threads,
            institution=self.institution,
        )


def recipe_from(settings: Settings) -> WorkshopRecipe:
    """The recipe that the settings describe."""
    return WorkshopRecipe(
        models_dir=settings.models_dir or bundled_models_dir(),
        model=settings.model,
        norms=settings.norms,
        policy=settings.policy,
        providers=settings.execution_providers,
        threads=settings.inference_threads,
        institution=settings.institution_name,
    )
