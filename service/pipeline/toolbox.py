"""The workshop of the process that touches the images, changed when something else is in force."""

from dataclasses import replace
from typing import TYPE_CHECKING

from service.core.activation import Kind
from service.errors import NotAsActivated
from service.pipeline import equipment
from service.pipeline.job import JobTools
from service.pipeline.recipe import WorkshopRecipe

if TYPE_CHECKING:
    from service.pipeline.analyse import Workshop

KINDS = (Kind.NETWORK, Kind.NORMS, Kind.POLICY)


class Toolbox:
    """Holds one workshop; a network stays open while it is in force, whatever else changes."""

    def __init__(self, recipe: WorkshopRecipe) -> None:
        self._recipe = recipe
        self._tools: JobTools | None = None
        self._workshop: Workshop | None = None

    def open(self, tools: JobTools | None) -> "Workshop":
        """The workshop with these tools; None: as it is, or as the recipe says.

        Raises NotAsActivated where a file is not the one that was activated, and whatever is wrong with
        network, norms or policy.
        """
        if self._workshop is None or (tools is not None and tools != self._tools):
            self._workshop = self._made(tools)
            self._tools = tools
        return self._workshop

    def _made(self, tools: JobTools | None) -> "Workshop":
        if tools is None:
            return self._recipe()
        recipe = replace(self._recipe, model=tools.model, norms=tools.norms, policy=tools.policy)
        workshop, before = self._workshop, self._tools
        if workshop is not None and before is not None and _same_network(before, tools):
            made = recipe.with_segmenter_of(workshop)
        else:
            # The old network goes first, so that two need not fit into the memory.
            self._workshop = workshop = None
            made = recipe()
        _require_as_activated(recipe, tools)
        return made


def _same_network(before: JobTools, tools: JobTools) -> bool:
    return (before.model, before.hashes[0]) == (tools.model, tools.hashes[0])


def _require_as_activated(recipe: WorkshopRecipe, tools: JobTools) -> None:
    """Look at the files behind what was just opened."""
    names = (tools.model, ",".join(tools.norms), tools.policy)
    for kind, name, sha256 in zip(KINDS, names, tools.hashes, strict=True):
        if equipment.describe(kind, name, recipe.models_dir).sha256 != sha256:
            raise NotAsActivated(
                f"{kind.value.capitalize()} {name} is not the one that was activated.",
                reason="activated_file_changed",
            )
