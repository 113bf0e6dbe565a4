"""From settings to the recipe of an analysis's workshop."""

from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.references import bundled_models_dir
from service.settings import Settings

__all__ = ["WorkshopRecipe", "recipe_from"]


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
