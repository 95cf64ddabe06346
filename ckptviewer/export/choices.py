"""Choices: what somebody wants of an export, whatever that means for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ckptviewer.checkpoint.renaming import RenameRule
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role


class Preset(StrEnum):
    """Where a selection starts from."""

    INFERENCE = "inference"
    TRAINABLE = "trainable"
    ALL = "all"
    SELECTED = "selected"


CAST_ROLES = MODEL_ROLES | {Role.OPTIMIZER_SLOT, Role.OTHER}
"""The roles that are cast unless others are named: a learning rate stays what it is."""

CASTABLE = ("float16", "bfloat16", "float32", "float64")
"""What is cast, and what it may be cast to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastRule:
    """Which variables are written in another dtype.

    dtype: the new one, of CASTABLE. roles: of the variables that are cast. sources: their dtypes.
    """

    dtype: str
    roles: frozenset[Role] = CAST_ROLES
    sources: frozenset[str] = frozenset(CASTABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What to keep, how to change it, and as what to write it.

    preset: where the selection starts from; SELECTED takes `selected` alone, which are keys.
    include, exclude: globs on keys and names. include_regex, exclude_regex: regular expressions
        that are searched in keys and names. roles, dtypes: of what is kept.
        All that is given must hold; what is excluded is excluded.
    ticks: key to whether it is kept, which goes before all of these.
    renames: rules, applied in turn. rename_pairs: old to new key, before the rules.
    cast: None leaves all dtypes as they are.
    use_ema: moving averages are written in the place of what they are averages of.
    format: one of `writers.FORMATS`. shard_bytes: as for writers.
    name_based: leave the object graph of a bundle out, and the endings of its keys.
    """

    preset: Preset = Preset.ALL
    selected: frozenset[str] = frozenset()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_regex: tuple[str, ...] = ()
    exclude_regex: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset()
    dtypes: frozenset[str] = frozenset()
    ticks: Mapping[str, bool] = field(default_factory=dict)
    renames: tuple[RenameRule, ...] = ()
    rename_pairs: Mapping[str, str] = field(default_factory=dict)
    cast: CastRule | None = None
    use_ema: bool = False
    format: str = "tf-bundle"
    shard_bytes: int | None = None
    name_based: bool = False
