"""Dataclasses to and from plain JSON values, with every type checked on the way in.

What comes from another process, or from a file that a person may edit, is not to be trusted to be
of the right shape; what is wrong with it is told with its place ("data.batch_size").
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin

from ckptviewer.checkpoint.errors import CkptviewerError

T = TypeVar("T")
_SIMPLE = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_LARGEST = (1 << 63) - 1
_LONGEST_SHOWN = 60


class BadDescriptionError(CkptviewerError, ValueError):
    """Plain data is not what the description asks for; `where` names the place in it."""


def to_plain(value: Any) -> Any:
    """`value` as JSON holds it: dataclasses become objects, enums texts, tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(each) for each in value]
    return value


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """An instance of the dataclass `kind` made of a JSON object.

    Fields that have a default may be left out; unknown ones are an error, for they are mostly
    misspelt. Raises BadDescriptionError.
    """
    if not isinstance(value, Mapping):
        raise _bad(where, "an object", value)
    known = _fields(typing.cast(typing.Hashable, kind))
    for name in value:
        if name not in known:
            raise BadDescriptionError(
                f"there is no {name!r} here",
                where=where,
                remedy=f"Known are {', '.join(known)}.",
            )
    arguments = {}
    for name, (field, hint) in known.items():
        inside = f"{where}.{name}" if where else name
        if name in value:
            arguments[name] = _value(hint, value[name], inside)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise BadDescriptionError("it is missing", where=inside, remedy="Add it.")
    return kind(**arguments)


@lru_cache(maxsize=128)
def _fields(kind: type[Any]) -> dict[str, tuple[Field[Any], Any]]:
    hints = typing.get_type_hints(kind)
    return {field.name: (field, hints[field.name]) for field in fields(kind)}


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (wanted,) = (each for each in get_args(hint) if each is not type(None))
        return _value(wanted, value, where)
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _bad(where, "an object", value)
        wanted = get_args(hint)[1]
        return {str(key): _value(wanted, each, f"{where}[{key!r}]") for key, each in value.items()}
    if hint is Any:
        return value
    if is_dataclass(hint):
        return from_plain(typing.cast(type[Any], hint), value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _bad(where, _SIMPLE[hint], value) from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _bad(where, _SIMPLE[hint], value)
    if hint is int and abs(value) > _LARGEST:
        raise _bad(where, "a whole number of at most 64 bits", value)
    return value


def _tuple(wanted: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _bad(where, "a list", value)
    if len(wanted) == 2 and wanted[1] is Ellipsis:
        return tuple(_value(wanted[0], each, f"{where}[{at}]") for at, each in enumerate(value))
    if len(value) != len(wanted):
        raise _bad(where, f"a list of {len(wanted)}", value)
    pairs = zip(wanted, value, strict=True)
    return tuple(_value(hint, each, f"{where}[{at}]") for at, (hint, each) in enumerate(pairs))


def _enum(kind: type[Enum], value: Any, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(str(each.value) for each in kind)
        raise BadDescriptionError(
            f"{shown(value)} is none of {choices}", where=where, remedy="Choose one of them."
        ) from None


def shown(value: Any) -> str:
    """A value as a message names it: cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits than Python writes, or too deep
        return "something that is too long"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _bad(where: str, wanted: str, value: Any) -> BadDescriptionError:
    return BadDescriptionError(f"{wanted} is needed, and it is {shown(value)}", where=where)
