"""Comparison: which variables of two checkpoints are the same, and what became of the others.

The first answer comes from the indexes alone: where both files tell a checksum, that says whether
the content is the same. `comparison_schedule` puts numbers in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from ckptviewer.analysis.difference import EXACT, Difference, Tolerance
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError, OpaqueVariableError
from ckptviewer.checkpoint.findings import Severity

if TYPE_CHECKING:
    from ckptviewer.analysis.matching import Match
    from ckptviewer.analysis.side_by_side import Measured
    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.renaming import RenameRule
    from ckptviewer.checkpoint.variable import Variable

Pair = tuple[str | None, str | None]
"""The keys of a variable in A and in B; None on the side that has none."""


class Status(StrEnum):
    """What became of a variable on its way from A to B.

    same: the same content under one key. renamed: the same content under another key. changed:
    other content, of one shape and dtype; also what could not be read. retyped: another dtype.
    reshaped: another shape. added, removed: in B alone, in A alone.
    """

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    RESHAPED = "reshaped"
    RETYPED = "retyped"


LETTERS = {
    Status.SAME: "=",
    Status.CHANGED: "M",
    Status.ADDED: "A",
    Status.REMOVED: "D",
    Status.RENAMED: "R",
    Status.RESHAPED: "S",
    Status.RETYPED: "T",
}
"""A letter for each status, so that it never rests on colour alone."""

UNCHANGED = frozenset((Status.SAME, Status.RENAMED))


class Basis(StrEnum):
    """What a statement about content rests on: stored checksums, or the values themselves."""

    CHECKSUM = "checksum"
    VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableDelta:
    """One row of a comparison.

    variable_a, variable_b: None on the side that has none.
    basis: None while nothing is known of the content yet (`pending`), and where there is nothing to
        compare (added, removed) or it could not be read.
    difference: the numbers; None until the values were read.
    problem: why the content could not be compared, one sentence; empty where it could.
    note: what else is to say: "first 30,522 rows equal, 10 rows added".
    """

    status: Status
    match: Match
    variable_a: Variable | None
    variable_b: Variable | None
    basis: Basis | None = None
    difference: Difference | None = None
    problem: str = ""
    note: str = ""

    @property
    def pair(self) -> Pair:
        """Its keys: what tells the rows of a comparison apart."""
        return self.match.key_a, self.match.key_b

    @property
    def key(self) -> str:
        """The key to show: B's, or A's where B has none."""
        key_a, key_b = self.pair
        return key_b if key_b is not None else key_a or ""

    @property
    def variable(self) -> Variable:
        """The variable to show: B's, or A's where B has none."""
        variable = self.variable_b if self.variable_b is not None else self.variable_a
        assert variable is not None
        return variable

    @property
    def paired(self) -> bool:
        """Whether it is there on both sides."""
        return self.variable_a is not None and self.variable_b is not None

    @property
    def pending(self) -> bool:
        """Whether only the values will tell if the content is the same."""
        return self.paired and self.basis is None and not self.problem

    @property
    def unchanged(self) -> bool:
        """Whether it is the same, or was only renamed."""
        return self.status in UNCHANGED and not self.problem and not self.pending

    @property
    def stored_bytes(self) -> int:
        """What reading both sides takes."""
        sides = (self.variable_a, self.variable_b)
        return sum(variable.stored_bytes for variable in sides if variable is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What was compared: fields as of the Checkpoint."""

    path: str
    format_name: str
    written_by: str | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Side:
        """What to say of an open checkpoint."""
        return cls(
            path=checkpoint.path,
            format_name=checkpoint.format_name,
            written_by=checkpoint.written_by,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """What was asked for.

    rules, by_hand: as of `match_variables`. model_only: nothing but the roles of the model.
    include_metadata: the object graph, too. values: read what is equal by checksum, too.
    """

    tolerance: Tolerance = EXACT
    rules: tuple[RenameRule, ...] = ()
    by_hand: Mapping[str, str | None] = field(default_factory=dict)
    model_only: bool = False
    include_metadata: bool = False
    values: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two checkpoints, and a row for each variable of either; a frozen result.

    deltas: in the order of the matches.
    """

    a: Side
    b: Side
    deltas: tuple[VariableDelta, ...]
    options: ComparisonOptions = field(default_factory=ComparisonOptions)

    @cached_property
    def summary(self) -> dict[Status, int]:
        """How many rows have each status; all seven are there."""
        counts = dict.fromkeys(Status, 0)
        for delta in self.deltas:
            counts[delta.status] += 1
        return counts

    @cached_property
    def identical(self) -> bool:
        """Whether every variable is the same or was only renamed; not so while one is pending."""
        return bool(self.deltas) and all(delta.unchanged for delta in self.deltas)

    @cached_property
    def pending(self) -> int:
        """How many rows wait for their values to tell whether they are the same."""
        return sum(delta.pending for delta in self.deltas)

    @cached_property
    def problems(self) -> tuple[VariableDelta, ...]:
        """The rows that could not be compared."""
        return tuple(delta for delta in self.deltas if delta.problem)

    @property
    def could_not(self) -> bool:
        """Whether nothing at all could be compared."""
        return all(delta.problem for delta in self.deltas)

    def refined(self, deltas: Iterable[VariableDelta]) -> Comparison:
        """The same with these rows in place of those of the same pairs."""
        newer = {delta.pair: delta for delta in deltas}
        rows = tuple(newer.get(delta.pair, delta) for delta in self.deltas)
        return replace(self, deltas=rows)


def first_answer(
    a: Checkpoint, b: Checkpoint, options: ComparisonOptions | None = None
) -> Comparison:
    """Match the variables of both and compare their indexes. Raises what matching raises."""
    from ckptviewer.analysis.matching import match_variables

    options = options or ComparisonOptions()
    matches = match_variables(
        a,
        b,
        rules=options.rules,
        by_hand=options.by_hand,
        include_metadata=options.include_metadata,
        model_only=options.model_only,
    )
    return compare_indexes(a, b, matches, options)


def compare_indexes(
    a: Checkpoint,
    b: Checkpoint,
    matches: Sequence[Match],
    options: ComparisonOptions | None = None,
) -> Comparison:
    """The first answer, from the indexes alone: structure, and content by checksum.

    matches: of `match_variables`. Reads no values. Rows of which the checksums cannot tell are
    `pending`; those of variables that are known to be damaged have their `problem`.
    """
    options = options or ComparisonOptions()
    damaged_a, damaged_b = _damaged(a), _damaged(b)
    comparable = _checksums_compare(a, b)
    deltas = []
    for match in matches:
        variable_a = None if match.key_a is None else a[match.key_a]
        variable_b = None if match.key_b is None else b[match.key_b]
        problem = damaged_a.get(match.key_a, "") or damaged_b.get(match.key_b, "")
        status, basis = Status.CHANGED, None
        if variable_a is None or variable_b is None:
            status, problem = (Status.ADDED if variable_a is None else Status.REMOVED), ""
        elif variable_a.shape != variable_b.shape:
            status = Status.RESHAPED
        elif variable_a.dtype != variable_b.dtype:
            status = Status.RETYPED
        elif comparable and not problem:
            sum_a, sum_b = a.checksum(variable_a), b.checksum(variable_b)
            if sum_a is not None and sum_b is not None:
                basis = Basis.CHECKSUM
                if sum_a == sum_b:
                    status = unchanged_status(match)
        deltas.append(
            VariableDelta(
                status=status,
                match=match,
                variable_a=variable_a,
                variable_b=variable_b,
                basis=basis,
                problem=problem,
            )
        )
    return Comparison(a=Side.of(a), b=Side.of(b), deltas=tuple(deltas), options=options)


def unchanged_status(match: Match) -> Status:
    """What to call equal content: the same under one key, else renamed."""
    return Status.SAME if match.key_a == match.key_b else Status.RENAMED


def settled(delta: VariableDelta, result: Measured | CkptviewerError) -> VariableDelta:
    """The row once its values were read, or could not be.

    What cannot be read counts as changed and has its problem; what was known by checksum stays
    known, unless that said that nothing changed.
    """
    if isinstance(result, OpaqueVariableError) and delta.basis is Basis.CHECKSUM:
        return delta  # there are no values; what the checksums say is all there is
    if isinstance(result, CkptviewerError):
        status = Status.CHANGED if delta.status in UNCHANGED else delta.status
        basis = delta.basis if status is delta.status else None
        return replace(delta, status=status, basis=basis, problem=str(result))
    status = delta.status
    if status not in (Status.RESHAPED, Status.RETYPED):
        status = unchanged_status(delta.match) if result.equal else Status.CHANGED
    return replace(
        delta,
        status=status,
        basis=Basis.VALUES,
        difference=result.difference,
        note=result.note,
        problem="",
    )


def needs_values(delta: VariableDelta, options: ComparisonOptions) -> bool:
    """Whether its values are to be read: all but what is equal by checksum, unless asked for.

    What has no values (a dataset's iterator) and is known by its checksum is not read.
    """
    variable_a, variable_b = delta.variable_a, delta.variable_b
    if variable_a is None or variable_b is None or delta.problem:
        return False
    opaque = Kind.OPAQUE in (kind_of(variable_a.dtype), kind_of(variable_b.dtype))
    if opaque and delta.basis is not None:
        return options.values and delta.status in UNCHANGED
    return options.values or delta.basis is None or delta.status not in UNCHANGED


def _damaged(checkpoint: Checkpoint) -> dict[str | None, str]:
    """The variables that cannot be read, as was noticed on opening, and why."""
    return {
        finding.variable: finding.message
        for finding in checkpoint.findings
        if finding.severity is Severity.ERROR and finding.variable is not None
    }


def _checksums_compare(a: Checkpoint, b: Checkpoint) -> bool:
    """Whether the checksums of both go over bytes in the same order."""
    return a.facts.get("Byte order") == b.facts.get("Byte order")
