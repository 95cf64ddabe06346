"""Making an ExportPlan of choices: fast enough to follow every tick, and nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.errors import NameCollisionError, UnknownVariableError
from ckptviewer.checkpoint.renaming import collisions, rename_all
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, VALUE_SUFFIX
from ckptviewer.checkpoint.selection import glob_test
from ckptviewer.checkpoint.text import printable
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.export.cautions import cautions
from ckptviewer.export.choices import Choices, Preset
from ckptviewer.export.plan import (
    Dropped,
    ExportPlan,
    Kept,
    bytes_in,
    bytes_of,
    files_of_source,
)
from ckptviewer.export.selecting import decider
from ckptviewer.export.writers import Writer, writer_of

SAVE_COUNTER_KEY = "save_counter" + VALUE_SUFFIX
_SILENT_ROLES = frozenset({Role.RNG, Role.COUNTER, Role.ITERATOR})
_RESTORE_ASKS = "tf.train.Checkpoint.restore asks for it"

Chosen = dict[str, tuple[Variable, str]]
"""Variables by their keys, each with the reason why it is kept."""


def make_plan(checkpoint: Checkpoint, choices: Choices) -> ExportPlan:
    """What an export of these choices does. Reads no values.

    Raises BadRuleError, NameCollisionError (renames that give two variables one key),
    UnknownVariableError (a pair that renames what is not there), NotACheckpointError (a format
    that is not written).
    """
    with collection_paused():
        return _Planning(checkpoint, choices).plan()


class _Planning:
    """The plan while it is made."""

    def __init__(self, checkpoint: Checkpoint, choices: Choices) -> None:
        self._checkpoint = checkpoint
        self._choices = choices
        self._writer: Writer = writer_of(choices.format)
        self._variables: Sequence[Variable] = checkpoint.variables
        self._kept: Chosen = {}
        self._dropped: dict[str, str] = {}
        self._unwritable: list[str] = []
        self._taken_from: dict[str, str] = {}
        self._in_order = True

    def plan(self) -> ExportPlan:
        choices = self._choices
        decide = decider(choices)
        for variable in self._variables:
            keep, reason = decide(variable)
            if keep:
                self._kept[variable.key] = (variable, reason)
            else:
                self._dropped[variable.key] = reason
        with_graph = self._settle_graph()
        if choices.use_ema:
            self._use_averages()
        keys = self._keys_written()
        kept = self._list_kept(keys)
        counter = self._checkpoint.by_key.get(SAVE_COUNTER_KEY)
        adds = with_graph and counter is None
        silent = frozenset(self._silent() if with_graph else ())
        plan = ExportPlan(
            source=self._checkpoint.path,
            format=choices.format,
            kept=kept,
            dropped=self._list_dropped(),
            bytes_before=bytes_of(files_of_source(self._checkpoint)),
            slims_graph=with_graph,
            silent=silent,
            aside=frozenset(self._aside() if with_graph else ()),
            adds_save_counter=adds,
            shard_bytes=choices.shard_bytes,
        )
        found = cautions(self._checkpoint, choices, plan, self._unwritable)
        return replace(plan, findings=tuple(found))

    def _settle_graph(self) -> bool:
        """Keep the object graph where one is written, and the save_counter with it."""
        graph = self._checkpoint.by_key.get(OBJECT_GRAPH_KEY)
        if graph is None or graph.dtype != "string" or graph.shape:
            return False
        choices = self._choices
        excluded = bool(choices.exclude) and glob_test(choices.exclude)(graph)
        if choices.format != "tf-bundle":
            self._drop(OBJECT_GRAPH_KEY, "the object graph is of use in a bundle alone")
        elif choices.name_based:
            self._drop(OBJECT_GRAPH_KEY, "a name-based checkpoint has no object graph")
        elif excluded or choices.ticks.get(OBJECT_GRAPH_KEY) is False:
            self._drop(OBJECT_GRAPH_KEY, self._dropped.get(OBJECT_GRAPH_KEY, "excluded"))
        elif not self._kept:
            self._drop(OBJECT_GRAPH_KEY, "there is nothing that it describes")
        else:
            self._keep(graph, "the object graph, by which tf.train.Checkpoint restores")
            counter = self._checkpoint.by_key.get(SAVE_COUNTER_KEY)
            if counter is not None:
                self._keep(counter, _RESTORE_ASKS)
            return True
        return False

    def _keep(self, variable: Variable, reason: str) -> None:
        self._dropped.pop(variable.key, None)
        self._kept[variable.key] = (variable, reason)

    def _drop(self, key: str, reason: str) -> None:
        self._kept.pop(key, None)
        self._in_order = self._in_order and key in self._dropped
        self._dropped[key] = reason

    def _list_dropped(self) -> tuple[Dropped, ...]:
        dropped = self._dropped
        if not self._in_order:
            order = (variable.key for variable in self._variables)
            dropped = {key: dropped[key] for key in order if key in dropped}
        return tuple(map(Dropped._make, dropped.items()))

    def _use_averages(self) -> None:
        """Put moving averages in the place of what they are averages of."""
        by_key = self._checkpoint.by_key
        if not any(variable.role is Role.MOVING_AVERAGE for variable in self._variables):
            raise UnknownVariableError(
                "it has no moving averages that could take the place of its weights",
                where=self._checkpoint.path,
                remedy="Export it without them.",
            )
        for variable in self._variables:
            owner = by_key.get(variable.slot_of or "")
            if variable.role is not Role.MOVING_AVERAGE or owner is None:
                continue
            alike = (owner.dtype, owner.shape) == (variable.dtype, variable.shape)
            if alike and owner.key in self._kept and owner.key not in self._taken_from:
                self._taken_from[owner.key] = variable.key
                self._kept[owner.key] = (owner, f"with the values of its average {variable.key}")
                self._drop(variable.key, f"its values are written as those of {owner.key}")

    def _keys_written(self) -> dict[str, str]:
        """The new keys of all that is kept; what the format has no key for is dropped."""
        choices = self._choices
        keys = {key: key for key in self._kept}
        if self._writer.keys_of is not None:
            chosen = [variable for variable, _ in self._kept.values()]
            keys, problems = self._writer.keys_of(self._checkpoint, chosen)
            for key, reason in problems.items():
                self._drop(key, reason)
                self._unwritable.append(key)
        elif choices.name_based:
            keys = {key: key.removesuffix(VALUE_SUFFIX) for key in keys}
        keys = self._renamed(keys)
        for key, (variable, _) in list(self._kept.items()):
            dtype = self._dtype_of(variable) or variable.dtype
            reason = self._writer.why_unwritable(keys[key], dtype, variable.shape)
            if reason:
                self._drop(key, reason)
                self._unwritable.append(key)
        return keys

    def _renamed(self, keys: dict[str, str]) -> dict[str, str]:
        choices = self._choices
        unknown = [key for key in choices.rename_pairs if key not in self._checkpoint.by_key]
        if unknown:
            raise UnknownVariableError(
                f"there is no variable {printable(unknown[0])!r} to be renamed",
                where=self._checkpoint.path,
                remedy="`ckptviewer list` prints the keys that it has.",
            )
        fixed = {key: keys[key] for key in _FIXED & keys.keys()} if not choices.name_based else {}
        if choices.rename_pairs:
            keys = {key: choices.rename_pairs.get(key, new) for key, new in keys.items()}
        if choices.renames:
            new = rename_all(keys.values(), choices.renames)
            keys = {key: new[old] for key, old in keys.items()}
        keys |= fixed
        collided = collisions(keys)
        if collided:
            name, olds = next(iter(collided.items()))
            raise NameCollisionError(
                f"several variables would be written as {printable(name)}: "
                f"{', '.join(map(printable, olds[:10]))}",
                remedy="Rename one of them, or leave it out.",
            )
        return keys

    def _dtype_of(self, variable: Variable) -> str:
        """The dtype that it is cast to; empty where it stays as it is."""
        rule = self._choices.cast
        if rule is None or variable.dtype == rule.dtype or variable.role not in rule.roles:
            return ""
        return rule.dtype if variable.dtype in rule.sources else ""

    def _list_kept(self, keys: dict[str, str]) -> tuple[Kept, ...]:
        casting, taken = self._choices.cast is not None, self._taken_from
        rows = []
        for variable in self._variables:
            found = self._kept.get(variable.key)
            if found is not None:
                key = variable.key
                dtype = self._dtype_of(variable) if casting else ""
                size = bytes_in(variable, dtype or variable.dtype)
                rows.append(Kept(key, keys[key], size, found[1], dtype, taken.get(key, "")))
        return tuple(rows)

    def _silent(self) -> Iterable[str]:
        """What the preset drops though a model may have it: its model's restoring stays silent."""
        if self._choices.preset is not Preset.INFERENCE:
            return
        by_key = self._checkpoint.by_key
        for key in self._dropped:
            if by_key[key].role in _SILENT_ROLES:
                yield key

    def _aside(self) -> Iterable[str]:
        """Averages that are slots: kept for inference, though not by their optimizer."""
        if self._choices.preset is not Preset.INFERENCE:
            return
        for key, (variable, _) in self._kept.items():
            if variable.role is Role.MOVING_AVERAGE and variable.slot_of:
                yield key


_FIXED = frozenset({OBJECT_GRAPH_KEY})
