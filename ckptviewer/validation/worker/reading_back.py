"""Reads every model variable back and holds it against the file: no restore is taken on trust."""

from __future__ import annotations

from typing import Any, Callable

from .digests import digest
from .model import Model
from .problems import RestoreProblem
from .restoring import Restoration, value_for


def digests_of(model: Model) -> dict[str, dict[str, Any]]:
    """The protocol's Digest of each variable, by its name."""
    return {each.name: digest(each.get()) for each in model.variables}


def read_back(
    model: Model,
    restored: Restoration,
    before: dict[str, dict[str, Any]],
    tick: Callable[[int, int, str], None],
) -> list[dict[str, Any]]:
    """The protocol's VariableReadBack of each variable. tick: done, total, name."""
    pairs = {pair.variable.name: pair for pair in restored.pairs}
    result = []
    for number, variable in enumerate(model.variables):
        tick(number, len(model.variables), variable.name)
        pair = pairs.get(variable.name)
        was = before[variable.name]
        now = digest(variable.get(), was)
        stored = None
        if pair is not None and restored.values is not None:
            try:
                stored = digest(value_for(pair, restored.values), now)
            except RestoreProblem:
                stored = None
        result.append(
            {
                "name": variable.name,
                "key": None if pair is None else pair.key,
                "before": was,
                "after": now,
                "file": stored,
                "changed": now["digest"] != was["digest"],
                "equal": None if stored is None else now["digest"] == stored["digest"],
            }
        )
    return result
