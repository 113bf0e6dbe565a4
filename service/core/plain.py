"""Values out of plain content: what ``asdict`` and JSON made of a dataclass becomes that dataclass again."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_plain(kind: type[T], content: Any) -> T:
    """The value of that dataclass; raises ValueError where the content is not of its shape.

    A field without a value takes its default. A field that the class does not know is refused: it would be
    lost.
    """
    return cast("T", _value(kind, content))


def _value(kind: Any, content: Any) -> Any:
    """A value of any kind that stands in our dataclasses."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _optional(kind, content)
    if origin is tuple:
        return _tuple(get_args(kind), content)
    if origin is Literal:
        if content not in get_args(kind):
            raise ValueError(f"{content!r} is none of {get_args(kind)}")
        return content
    if is_dataclass(kind):
        return _dataclass(cast("type[Any]", kind), content)
    return _simple(kind, content)


def _optional(kind: Any, content: Any) -> Any:
    """A value or None."""
    if content is None and NoneType in get_args(kind):
        return None
    (wanted,) = (each for each in get_args(kind) if each is not NoneType)
    return _value(wanted, content)


def _tuple(kinds: tuple[Any, ...], content: Any) -> tuple[Any, ...]:
    """A tuple of any length, or one of several kinds."""
    if not isinstance(content, list | tuple):
        raise ValueError("a list is missing")
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], each) for each in content)
    return tuple(_value(kind, each) for kind, each in zip(kinds, content, strict=True))


def _dataclass(kind: type[Any], content: Any) -> Any:
    """A dataclass, field by field."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{kind.__name__} is missing")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    strange = set(content) - set(known)
    needed = {name for name, field in known.items() if field.default is MISSING}
    if strange or needed - set(content):
        raise ValueError(f"{kind.__name__} has other fields: {sorted(strange | (needed - set(content)))}")
    return kind(**{name: _value(hints[name], value) for name, value in content.items()})


def _simple(kind: Any, content: Any) -> Any:
    """A number, text, truth, time or member of an enumeration."""
    if kind is datetime:
        return datetime.fromisoformat(content)
    if issubclass(kind, Enum):
        return kind(content)
    if kind is float and type(content) is int:
        return float(content)
    if type(content) is not kind:
        raise ValueError(f"{type(content).__name__} is no {kind.__name__}")
    return content
