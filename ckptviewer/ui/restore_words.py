"""A restore in the window's words and rows: as the files tell it, or as it happened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.text import natural_key, plural, shape_text, size_text
from ckptviewer.checkpoint.variable import MODEL_ROLES
from ckptviewer.ui.models.table_rows import Cell, Heading, Row, row_texts

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport
    from ckptviewer.validation.protocol import ModelInfo, Restored


class Fate(StrEnum):
    """What becomes of a variable in a restore."""

    MISMATCHED = "mismatched"
    FRESH = "fresh"
    UNUSED = "unused"
    BOUND = "bound"


LETTERS = {Fate.MISMATCHED: "M", Fate.FRESH: "F", Fate.UNUSED: "U", Fate.BOUND: "B"}
_PLACES = {fate: place for place, fate in enumerate(Fate)}
MEANINGS = {
    Fate.MISMATCHED: "belongs to a variable of the model, and does not fit it",
    Fate.FRESH: "of the model: gets no value, and keeps what it was initialised with",
    Fate.UNUSED: "of the checkpoint: goes nowhere",
    Fate.BOUND: "gets its value from the checkpoint",
}
COLOURS = {Fate.MISMATCHED: "error", Fate.FRESH: "warning", Fate.UNUSED: "muted", Fate.BOUND: ""}

_TAIL = "/.ATTRIBUTES/VARIABLE_VALUE"
"""Of each key of an object graph; not shown, but copied."""

HEADINGS = (
    Heading(text="", tool_tip="B bound, F fresh, M mismatched, U unused"),
    Heading(text="Variable of the model"),
    Heading(text="Key in the checkpoint"),
    Heading(text="Shape"),
    Heading(text="Why"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A restore for the window.

    headline: the answer in one sentence. good: True, False, or None where it is not certain.
    more: what else belongs to the answer. rows: all variables of both sides, what is wrong first.
    texts: what a filter looks for words in, by row. counts: how many have each fate, of all and of
    what predictions need.
    """

    headline: str
    good: bool | None
    more: str
    rows: tuple[Row, ...]
    texts: list[str] | None = None
    counts: dict[Fate, int] = field(default_factory=dict)
    needed: dict[Fate, int] = field(default_factory=dict)


def told_by_files(report: RestoreReport) -> Told:
    """The restore as the simulator tells it."""
    rows = sorted(_rows_of_report(report), key=_order)
    return Told(
        headline=_headline(report),
        good=(report.restores_model if report.certain or not report.restores_model else None),
        more=_more(report),
        rows=tuple(rows),
        texts=row_texts(rows),
        counts=_counts(rows),
        needed=_counts([row for row in rows if row.kind[1]]),  # type: ignore[index]
    )


def _headline(report: RestoreReport) -> str:
    bound = sum(each.target.in_model for each in report.bound)
    wanted = bound + len(report.model_fresh) + len(report.model_mismatched)
    name = os.path.basename(report.model.rstrip("/")) or report.model
    if report.restores_model:
        if report.certain:
            return f"It restores into {name}: all {plural(bound, 'variable')} of the model bind."
        return (
            f"It most likely restores into {name}: each of the {plural(bound, 'variable')} of the "
            "model has a counterpart."
        )
    if report.head is not None:
        return report.head.why
    if not bound:
        return f"It does not restore into {name}: no variable binds."
    parts = []
    if report.model_mismatched:
        count = len(report.model_mismatched)
        parts.append(f"{count} {'does' if count == 1 else 'do'} not fit")
    if report.model_fresh:
        count = len(report.model_fresh)
        parts.append(f"{count} {'stays' if count == 1 else 'stay'} fresh")
    if not parts:
        return f"It does not restore into {name}: the call itself raises an error."
    return (
        f"It does not wholly restore into {name}: of {plural(wanted, 'variable')} of the model "
        f"{bound} bind, {' and '.join(parts)}."
    )


def _more(report: RestoreReport) -> str:
    if report.raises:
        return f"{report.call} raises {report.raises}"
    advice = [e.remedy for e in report.findings if report.head and e.message == report.head.why]
    ways = {
        "object-graph": "by the object graph: the same names of attributes, from the root on",
        "saver-name": "by the variables' names, as tf.train.Saver does",
        "layer-path": "by the layers' paths, as Keras 3 does",
        "layer-order": "by the order of layers, as Keras' older HDF5 does",
        "name-map": "by comparing names and shapes: only the loaded model can tell for sure",
    }
    told = f"Told from the two files alone, {ways[str(report.rule)]}."
    return " ".join((*advice, told))


def _rows_of_report(report: RestoreReport) -> Iterator[Row]:
    for wrong in report.mismatched:
        target = wrong.target
        yield _row(
            Fate.MISMATCHED,
            target.in_model,
            name=target.name,
            key=wrong.key,
            shape=f"{shape_text(wrong.shape)} \u2192 {shape_text(target.shape)}",
            why=wrong.reason,
        )
    for fresh in report.fresh:
        why = fresh.why
        if fresh.suggestion:
            why += f"; likely its value: {fresh.suggestion} ({fresh.suggestion_why})"
        target = fresh.target
        yield _row(
            Fate.FRESH,
            target.in_model,
            name=target.name,
            key="",
            shape=f"{shape_text(target.shape)} {target.dtype}",
            why=why,
        )
    for unused in report.unused:
        yield _row(
            Fate.UNUSED,
            unused.role in MODEL_ROLES,
            name="",
            key=unused.key,
            shape=size_text(unused.stored_bytes),
            why=f"{unused.role}: nothing of the model takes it",
        )
    for bound in report.bound:
        why = bound.why
        if bound.converted:
            why += f"; converted to {bound.target.dtype}"
        if bound.confidence < 1:
            why += f" ({bound.confidence:.0%} sure)"
        target = bound.target
        yield _row(
            Fate.BOUND,
            target.in_model,
            name=target.name,
            key=bound.key,
            shape=f"{shape_text(target.shape)} {target.dtype}",
            why=why,
        )


def told_by_worker(restored: Restored, model: ModelInfo | None) -> Told:
    """The restore as it happened in the worker."""
    rows = sorted(_rows_of_restored(restored, model), key=_order)
    counts = _counts(rows)
    wrong = counts[Fate.MISMATCHED] + counts[Fate.FRESH]
    bound = counts[Fate.BOUND]
    if not bound:
        headline = "Nothing was restored: no variable of the model was bound."
    elif wrong:
        headline = f"Of {plural(bound + wrong, 'variable')} {bound} restored, {wrong} not."
    else:
        headline = f"All {plural(bound, 'variable')} of the model were restored."
    return Told(
        headline=headline,
        good=bool(bound) and not wrong,
        more=f"Restored by {restored.how}.",
        rows=tuple(rows),
        texts=row_texts(rows),
        counts=counts,
        needed=counts,
    )


def _rows_of_restored(restored: Restored, model: ModelInfo | None) -> Iterator[Row]:
    known = {each.name: each for each in model.variables} if model is not None else {}

    def shape_of(name: str) -> str:
        found = known.get(name)
        return f"{shape_text(found.shape)} {found.dtype}" if found is not None else ""

    for each in restored.mismatched:
        shape = shape_of(each.name)
        yield _row(
            Fate.MISMATCHED, True, name=each.name, key=each.key, shape=shape, why=each.reason
        )
    for fresh in restored.missing:
        shape = f"{shape_text(fresh.shape)} {fresh.dtype}"
        why = "the checkpoint has nothing for it"
        yield _row(Fate.FRESH, True, name=fresh.name, key="", shape=shape, why=why)
    for key in restored.unused:
        why = "nothing of the model took it"
        yield _row(Fate.UNUSED, False, name="", key=key, shape="", why=why)
    for bound in restored.bound:
        shape = shape_of(bound.name)
        yield _row(Fate.BOUND, True, name=bound.name, key=bound.key, shape=shape, why=bound.rule)


def _row(fate: Fate, needed: bool, *, name: str, key: str, shape: str, why: str) -> Row:
    letter = Cell(LETTERS[fate], tool_tip=f"{fate}: {MEANINGS[fate]}", colour=COLOURS[fate])
    quiet = "" if needed else "muted"
    return Row(
        cells=(
            letter,
            Cell(name, colour=quiet),
            Cell(key.removesuffix(_TAIL), colour=quiet, exact=key),
            Cell(shape, colour="muted"),
            Cell(why, colour=COLOURS[fate] if fate is Fate.MISMATCHED else "muted"),
        ),
        kind=(fate, needed),
        what=name or key,
    )


def _order(row: Row) -> tuple[bool, int, bytes]:
    fate: Fate = row.kind[0]  # type: ignore[index]
    needed: bool = row.kind[1]  # type: ignore[index]
    return (not needed, _PLACES[fate], natural_key(row.what))


def _counts(rows: Sequence[Row]) -> dict[Fate, int]:
    counts = dict.fromkeys(Fate, 0)
    for row in rows:
        counts[row.kind[0]] += 1  # type: ignore[index]
    return counts
