"""Checkpoints computed from others: under other names, or a part of one. Values pass through."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import NameCollisionError, UnknownVariableError
from ckptviewer.checkpoint.renaming import collisions, collisions_text
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np


class ComputedCheckpoint(Checkpoint):
    """A checkpoint whose variables are those of `source`, some of them, or under other keys.

    All that is asked of a variable is asked of the source; to close this one closes the source.
    """

    def __init__(self, source: Checkpoint, pairs: Sequence[tuple[Variable, Variable]]) -> None:
        """
        pairs: each variable as this checkpoint has it, with the source's own.
        """
        super().__init__(
            path=source.path,
            format_name=source.format_name,
            variables=natural_sorted([mine for mine, _ in pairs], lambda variable: variable.key),
            written_by=source.written_by,
            findings=source.findings,
            facts=source.facts,
        )
        self.source = source
        self._origins = {mine.key: original for mine, original in pairs}

    def origin(self, variable: Variable) -> Variable:
        """The source's variable that `variable` stands for. Raises UnknownVariableError."""
        self[variable.key]  # raises for what is not in it
        return self._origins[variable.key]

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return self.source.read(self.origin(variable), region)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        return self.source.chunks(self.origin(variable), chunk_bytes)

    def checksum(self, variable: Variable) -> int | None:
        """As the source's: other names change no content."""
        return self.source.checksum(self.origin(variable))

    def in_order(self, variable: Variable) -> bool:
        return self.source.in_order(self.origin(variable))

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        return self.source.stored_chunks(self.origin(variable), chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        return self.source.details(self.origin(variable))

    def release(self) -> None:
        self.source.release()

    def close(self) -> None:
        self.source.close()


class RenamedCheckpoint(ComputedCheckpoint):
    """`source` with other keys: what `mapping` does not name keeps its own.

    A renamed variable is called by its new key; slots follow their owners. Raises
    UnknownVariableError for a key that `source` has not, NameCollisionError where two variables
    would get one key.
    """

    def __init__(self, source: Checkpoint, mapping: Mapping[str, str]) -> None:
        """
        mapping: key in `source` to the new key, as `renaming.rename_all` makes it.
        """
        for key in mapping:
            source[key]  # raises for what is not in it
        renamed = {variable.key: variable.key for variable in source.variables} | dict(mapping)
        collided = collisions(renamed)
        if collided:
            raise NameCollisionError(
                f"several variables would get one name: {collisions_text(collided)}",
                where=source.path,
                remedy="Give each variable a name of its own.",
            )
        super().__init__(
            source, [(_renamed(variable, renamed), variable) for variable in source.variables]
        )


def _renamed(variable: Variable, renamed: Mapping[str, str]) -> Variable:
    new = renamed[variable.key]
    owner = variable.slot_of
    if owner is not None:
        owner = renamed.get(owner, owner)
    if new == variable.key and owner == variable.slot_of:
        return variable
    name = variable.name if new == variable.key else new
    return variable._replace(key=new, name=name, slot_of=owner)


class SelectedCheckpoint(ComputedCheckpoint):
    """Of `source` the variables under `keys` alone.

    A slot whose owner is left out has no owner here. Raises UnknownVariableError for a key that
    `source` has not.
    """

    def __init__(self, source: Checkpoint, keys: Collection[str]) -> None:
        wanted = frozenset(keys)
        missing = wanted - source.by_key.keys()
        if missing:
            raise UnknownVariableError(
                f"there is no variable {min(missing)!r} in it",
                where=source.path,
                remedy="`ckptviewer list` prints the keys that it has.",
            )
        super().__init__(
            source,
            [
                (
                    variable
                    if variable.slot_of is None or variable.slot_of in wanted
                    else variable._replace(slot_of=None),
                    variable,
                )
                for variable in source.variables
                if variable.key in wanted
            ],
        )
