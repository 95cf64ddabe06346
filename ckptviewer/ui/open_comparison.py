"""What a window knows of a comparison: both sides, the rows, their verdicts. No Qt here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ckptviewer.analysis.comparison import (
    Comparison,
    ComparisonOptions,
    Pair,
    Status,
    VariableDelta,
    first_answer,
)
from ckptviewer.analysis.comparison_document import conclusion_text, summary_text
from ckptviewer.analysis.delta_facts import facts_of
from ckptviewer.analysis.restoration import RestorationCheck, check_restoration
from ckptviewer.analysis.sketch import Sketch
from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.analysis.verdicts import Judgement, judge_all, judge_group
from ckptviewer.checkpoint.selection import Filter, filter_rows, haystacks, parse_filter
from ckptviewer.checkpoint.tree import Group, VariableTree
from ckptviewer.checkpoint.variable import Role
from ckptviewer.ui.session import Session

STATUS_WORD = "status:"


Measure = Callable[[VariableDelta], float | None]


def _of(name: str) -> Measure:
    def measure(delta: VariableDelta) -> float | None:
        value = getattr(delta.difference, name, None)
        if value is None:
            return 0.0 if delta.unchanged else None
        return abs(float(value))

    return measure


MEASURES: dict[str, Measure] = {
    "relative L2": _of("relative_l2"),
    "max |\u0394|": _of("max_abs"),
    "mean |\u0394|": _of("mean_abs"),
    "RMSE": _of("rmse"),
    "1 \u2212 cosine": lambda delta: (
        1.0 - delta.difference.cosine
        if delta.difference is not None and delta.difference.cosine is not None
        else (0.0 if delta.unchanged else None)
    ),
    "sign flips": _of("sign_flips"),
    "beyond tolerance": _of("beyond_share"),
    "\u0394 mean": _of("mean_difference"),
    "\u0394 std": _of("std_difference"),
}
"""What rows can be sorted by; the column shows it."""

NOT_TRAINED = frozenset(
    (Role.COUNTER, Role.OPTIMIZER_STATE, Role.ITERATOR, Role.RNG, Role.METRIC, Role.METADATA)
)
"""A counter that went on was not retrained; it is another, and no more is to be said."""


class GroupState(NamedTuple):
    """What is known of all rows below a group.

    status: where all have the same. different: how many are not known to be the same.
    """

    status: Status | None
    different: int
    judgement: Judgement | None


class Judged(NamedTuple):
    """What all rows together tell, worked out away from the window.

    judgements: of the rows, in their order. groups: of the tree's. counts: rows of each status.
    pending: rows that wait for their values. conclusion, summary: for people. check: of a
    restore. largest: the greatest change of what is trained, by measure.
    """

    judgements: list[Judgement | None]
    groups: dict[Group, GroupState]
    counts: Counter[Status]
    pending: int
    conclusion: str
    summary: str
    check: RestorationCheck
    largest: dict[str, float]


class OpenComparison:
    """Two open checkpoints and the rows of their comparison, as they come to be known.

    variables: the merged list, one for each row: B's, or A's where B has none.
    deltas: of the same rows. known: what they tell together, as of `take_verdicts`.
    thresholds: what verdicts and the restoration check use.
    """

    def __init__(self, a: Session, b: Session, comparison: Comparison) -> None:
        self.a = a
        self.b = b
        self.options = comparison.options
        self.thresholds = Thresholds()
        self._first = comparison
        self.deltas: list[VariableDelta] = list(comparison.deltas)
        self.variables = [delta.variable for delta in self.deltas]
        self.tree = VariableTree(self.variables)
        self._rows: dict[Pair, int] = {delta.pair: row for row, delta in enumerate(self.deltas)}
        self._rows_a = {variable.key: row for row, variable in enumerate(a.checkpoint.variables)}
        self._rows_b = {variable.key: row for row, variable in enumerate(b.checkpoint.variables)}
        self._texts: list[str] | None = None
        self.known = self.judged()

    @property
    def comparison(self) -> Comparison:
        """The comparison as it is known now: a frozen copy."""
        return self._first.refined(self.deltas)

    @property
    def judgements(self) -> list[Judgement | None]:
        """The verdicts on the rows; None while they are not known."""
        return self.known.judgements

    @property
    def groups(self) -> dict[Group, GroupState]:
        """What is known of the tree's groups."""
        return self.known.groups

    def take(self, deltas: Iterable[VariableDelta]) -> list[int]:
        """More is known of these; the rows that they are."""
        rows = []
        for delta in deltas:
            row = self._rows[delta.pair]
            self.deltas[row] = delta
            rows.append(row)
        return rows

    def judged(self) -> Judged:
        """What the rows tell as far as they are known; takes a while for many of them."""
        deltas = list(self.deltas)
        comparison = self._first.refined(deltas)
        facts = [facts_of(delta) for delta in deltas]
        judgements = judge_all(facts, self.thresholds)
        groups = {}
        for group in self.tree.groups():
            rows = rows_below(self.tree, group)
            statuses = {deltas[row].status for row in rows}
            groups[group] = GroupState(
                status=statuses.pop() if len(statuses) == 1 else None,
                different=sum(not deltas[row].unchanged for row in rows),
                judgement=judge_group(
                    [facts[row] for row in rows], [judgements[row] for row in rows], self.thresholds
                ),
            )
        trained = [delta for delta in deltas if delta.variable.role not in NOT_TRAINED]
        return Judged(
            judgements=judgements,
            groups=groups,
            counts=Counter(delta.status for delta in deltas),
            pending=comparison.pending,
            conclusion=conclusion_text(comparison),
            summary=summary_text(comparison),
            check=check_restoration(facts, self.thresholds),
            largest={
                name: max((measure(delta) or 0.0 for delta in trained), default=0.0)
                for name, measure in MEASURES.items()
            },
        )

    def row_of(self, pair: Pair) -> int | None:
        """The row of two keys."""
        return self._rows.get(pair)

    def take_verdicts(self, judged: Judged) -> None:
        """Show this from now on."""
        self.known = judged

    def ranked(self, name: str) -> list[int]:
        """All rows by a measure, what changed most first; what has no number before that."""
        measure, deltas = MEASURES[name], self.deltas

        def rank(row: int) -> tuple[int, float, int]:
            value = measure(deltas[row])
            if value is None:
                return (0 if not deltas[row].pending else 1, 0.0, row)
            return (2 if value else 3, -value, row)

        return sorted(range(len(deltas)), key=rank)

    def sketch(self, row: int, side: str) -> Sketch | None:
        """The small histogram of a row's variable on side "a" or "b", if it is measured."""
        delta = self.deltas[row]
        session, rows, variable = (
            (self.a, self._rows_a, delta.variable_a)
            if side == "a"
            else (self.b, self._rows_b, delta.variable_b)
        )
        return session.sketches.get(rows[variable.key]) if variable is not None else None

    def rows_of_side(self, rows: Sequence[int], side: str) -> list[int]:
        """The rows of one side's own list that stand behind merged rows."""
        found = []
        for row in rows:
            delta = self.deltas[row]
            variable = delta.variable_a if side == "a" else delta.variable_b
            if variable is not None:
                found.append((self._rows_a if side == "a" else self._rows_b)[variable.key])
        return found

    def rows_matching(self, text: str, statuses: frozenset[Status]) -> list[int] | None:
        """The rows that a filter's text and the chosen statuses leave; None: all of them.

        The text is of the filter language, with `status:changed,added` besides.
        """
        words, named = _statuses_in(text)
        filter_ = parse_filter(" ".join(words))
        wanted = named & statuses if named and statuses else named or statuses
        if filter_.is_empty and not wanted:
            return None
        rows = self._filtered(filter_)
        return [row for row in rows if not wanted or self.deltas[row].status in wanted]

    def _filtered(self, filter_: Filter) -> Sequence[int]:
        if filter_.is_empty:
            return range(len(self.deltas))
        if self._texts is None:
            self._texts = haystacks(self.variables)
        return filter_rows(filter_, self.variables, self._texts, {})

    def close(self) -> None:
        """Give B back; A is its window's own."""
        self.b.close()


def compared(a: Session, b: Session, options: ComparisonOptions) -> OpenComparison:
    """The first answer, from the indexes alone. Raises what matching raises."""
    return OpenComparison(a, b, first_answer(a.checkpoint, b.checkpoint, options))


def rows_below(tree: VariableTree, group: Group) -> list[int]:
    """All rows below a group of the tree, folded slots included."""
    rows: list[int] = []
    pending: list[Group | int] = [group]
    while pending:
        item = pending.pop()
        if isinstance(item, int):
            rows.append(item)
            rows += tree.slots.get(item, ())
        else:
            pending += item.children
    return rows


def _statuses_in(text: str) -> tuple[list[str], frozenset[Status]]:
    words: list[str] = []
    statuses: set[Status] = set()
    for word in text.split():
        if word.lower().startswith(STATUS_WORD):
            names = word[len(STATUS_WORD) :].lower().split(",")
            statuses.update(status for status in Status if str(status) in names)
        else:
            words.append(word)
    return words, frozenset(statuses)
