"""A comparison as a file: what was compared and how, corrections by hand included; no results.

A small JSON document that people can read and edit. What is not as it should be is refused as a
whole, and told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.checkpoint.errors import BadRuleError, DamagedFileError, InvalidSettingError
from ckptviewer.checkpoint.renaming import RenameRule

KIND = "ckptviewer-comparison"
VERSION = 1
MAX_BYTES = 64 << 20
"""Corrections for a million variables fit; more is not read."""

_MAX_TEXT = 1 << 16
_MAX_RULES = 1000
_MAX_PATTERNS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSide:
    """One of the two checkpoints.

    path: as it was opened. identity: what tells whether it is still the same ("size and time" of
    its files, in the form of whoever made it); empty where it was not noted.
    """

    path: str
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedComparison:
    """What to compare, and how.

    rules: rename A's keys into B's. by_hand: A's key to B's, None for "no partner".
    atol, rtol: the tolerance, |b-a| <= atol + rtol*|a|.
    """

    a: SavedSide
    b: SavedSide
    rules: tuple[RenameRule, ...] = ()
    by_hand: Mapping[str, str | None] = field(default_factory=dict)
    atol: float = 0.0
    rtol: float = 0.0
    model_only: bool = False
    include_metadata: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)

    def to_json(self) -> str:
        """The document, ready to be written: UTF-8, indented."""
        document = {
            "kind": KIND,
            "version": VERSION,
            "a": {"path": self.a.path, "identity": self.a.identity},
            "b": {"path": self.b.path, "identity": self.b.identity},
            "rules": [
                {"pattern": rule.pattern, "replacement": rule.replacement} for rule in self.rules
            ],
            "by_hand": dict(self.by_hand),
            "atol": self.atol,
            "rtol": self.rtol,
            "model_only": self.model_only,
            "include_metadata": self.include_metadata,
            "thresholds": self.thresholds.to_json(),
        }
        return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def from_json(text: str | bytes, *, where: str = "") -> SavedComparison:
    """The comparison that `SavedComparison.to_json` wrote. Raises DamagedFileError.

    where: the file it is from, for the message.
    """
    if len(text) > MAX_BYTES:
        raise _damaged("it is too large", where)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"it is no JSON: {str(error)[:200]}", where) from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise _damaged("it is no saved comparison", where)
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise DamagedFileError(
            f"it is of version {str(version)[:20]}, and this program reads version {VERSION}",
            where=where,
            remedy="Open it with the version of ckptviewer that saved it, or a newer one.",
        )
    try:
        return SavedComparison(
            a=_side(document.get("a"), "a"),
            b=_side(document.get("b"), "b"),
            rules=_rules(document.get("rules", [])),
            by_hand=_by_hand(document.get("by_hand", {})),
            atol=_number(document.get("atol", 0.0), "atol"),
            rtol=_number(document.get("rtol", 0.0), "rtol"),
            model_only=_flag(document.get("model_only", False), "model_only"),
            include_metadata=_flag(document.get("include_metadata", False), "include_metadata"),
            thresholds=Thresholds.from_json(document.get("thresholds", {})),
        )
    except (BadRuleError, InvalidSettingError) as error:
        raise _damaged(str(error), where) from None


def _side(value: object, name: str) -> SavedSide:
    if not isinstance(value, dict):
        raise _wrong(name, "the path and identity of a checkpoint")
    path = _text(value.get("path"), f"{name}.path")
    if not path:
        raise _wrong(f"{name}.path", "a path")
    return SavedSide(path=path, identity=_text(value.get("identity", ""), f"{name}.identity"))


def _rules(value: object) -> tuple[RenameRule, ...]:
    if not isinstance(value, list) or len(value) > _MAX_RULES:
        raise _wrong("rules", f"a list of at most {_MAX_RULES} rules")
    rules = []
    left = _MAX_PATTERNS
    for each in value:
        if not isinstance(each, dict):
            raise _wrong("rules", "a list of patterns and replacements")
        pattern = _text(each.get("pattern"), "rules.pattern")
        left -= len(pattern)
        if left < 0:
            raise _wrong("rules", f"patterns of at most {_MAX_PATTERNS:,} characters together")
        rules.append(RenameRule(pattern, _text(each.get("replacement"), "rules.replacement")))
    return tuple(rules)


def _by_hand(value: object) -> dict[str, str | None]:
    if not isinstance(value, dict):
        raise _wrong("by_hand", "a table of keys")
    return {key: None if other is None else _text(other, "by_hand") for key, other in value.items()}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or "\0" in value:
        raise _wrong(name, "a text")
    return value


def _number(value: object, name: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else -1.0  # type: ignore[arg-type]
    except OverflowError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise _wrong(name, "a number that is not negative")
    return number


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _wrong(name: str, expected: str) -> InvalidSettingError:
    return InvalidSettingError(f"{name} is not {expected}")


def _damaged(what: str, where: str) -> DamagedFileError:
    return DamagedFileError(
        what.rstrip("."), where=where, remedy="Save the comparison again from the window."
    )
