"""How lists are cut into pages: one item more than asked for tells that there is a next page."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def cut(items: Sequence[Item], limit: int, cursor_of: Callable[[Item], int]) -> tuple[list[Item], str | None]:
    """The first ``limit`` of the items, and the cursor of the last of them where there are more."""
    shown = list(items[:limit])
    return shown, str(cursor_of(shown[-1])) if len(items) > limit else None
