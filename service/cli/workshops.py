"""From settings to the recipe of an analysis's workshop."""

from service.core.variant import all_variants
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.references import bundled_models_dir
from service.settings import Settings
from service.worker.peers import variant_of

__all__ = ["WorkshopRecipe", "recipe_from"]


def recipe_from(settings: Settings, *, for_peers: bool = False) -> WorkshopRecipe:
    """The recipe that the settings describe; ``for_peers`` with the objects as the peers want them.

    What new scores need, and what pages show slice by slice, is kept then, too.
    """
    receivers = [peer for peer in settings.peer if peer.outputs] if for_peers else []
    return WorkshopRecipe(
        models_dir=settings.models_dir or bundled_models_dir(),
        model=settings.model,
        norms=settings.norms,
        policy=settings.policy,
        providers=settings.execution_providers,
        precision=settings.precision,
        threads=settings.inference_threads,
        institution=settings.institution_name,
        variants=all_variants(tuple(variant_of(peer) for peer in receivers)),
        gsps=any("GSPS" in peer.outputs for peer in receivers),
        keep=for_peers,
        slices_mb=settings.slice_pictures_mb if for_peers else 0,
    )
