"""What TensorFlow and Keras would say to a restore, and what a person should know of it.

The wording of errors is that of TensorFlow 2.21 and Keras 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ckptviewer.analysis.restore_objects import SAVE_COUNTER, Walked, path_of
from ckptviewer.analysis.restore_report import (
    Mismatch,
    MismatchKind,
    RestoreReport,
    Rule,
    Statement,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural
from ckptviewer.checkpoint.variable import MODEL_ROLES

_SHOWN = 3


def raised_by(report: RestoreReport) -> str:
    """What the restoring call itself raises, in words; empty where it raises nothing."""
    if report.raises:
        return report.raises
    by_dtype = [each for each in report.mismatched if each.kind is MismatchKind.DTYPE]
    by_shape = [each for each in report.mismatched if each.kind is MismatchKind.SHAPE]
    if report.rule is Rule.SAVER_NAME and _into_graph(report) and report.fresh:
        missing = _some([each.target.name for each in report.fresh])
        return f"NotFoundError: Key {missing} not found in checkpoint. Nothing is restored."
    if by_dtype and not report.rule.is_native:
        by_dtype = []
    if by_dtype:
        first = by_dtype[0]
        return (
            f"InvalidArgumentError: expected dtype {first.target.dtype} does not equal original "
            f"dtype {first.dtype} ({_more(by_dtype)}). A bundle restores only into variables of "
            "its very dtype."
        )
    return _by_shape(report, by_shape) if by_shape else ""


def _by_shape(report: RestoreReport, wrong: Sequence[Mismatch]) -> str:
    first = wrong[0]
    if report.rule in (Rule.LAYER_PATH, Rule.LAYER_ORDER):
        return (
            f"ValueError: the shapes of {first.target.name} differ, {first.reason} "
            f"({_more(wrong)}). skip_mismatch=True leaves them out and loads the others."
        )
    if report.rule is Rule.SAVER_NAME and _into_graph(report):
        return (
            "InvalidArgumentError: Assign requires shapes of both tensors to match "
            f"({first.target.name}: {first.reason}; {_more(wrong)}). Resource variables take the "
            "other shape without a word."
        )
    if report.rule is Rule.NAME_MAP:
        return ""
    return (
        f"ValueError: Received incompatible tensor with shape {first.shape} when attempting to "
        f"restore variable with shape {first.target.shape} and name {first.target.name} "
        f"({_more(wrong)}). Some of the others may have been restored by then."
    )


def _into_graph(report: RestoreReport) -> bool:
    """Whether a Saver does it: the model is a graph with names, and not objects."""
    return "Saver" in report.call


def _more(wrong: Sequence[Mismatch]) -> str:
    return f"{plural(len(wrong), 'variable')} in all"


def statements_of(report: RestoreReport, walked: Walked | None) -> Iterator[Statement]:
    """What the call and the checks that follow it say; nothing where only the model can tell."""
    if not report.certain:
        return
    yield Statement(
        call=report.call,
        passes=not report.raises,
        message=report.raises or _quiet(report),
    )
    if report.rule is Rule.EDGES and walked is not None:
        yield from _of_objects(report, walked)
    elif report.rule is Rule.SAVER_NAME and not _into_graph(report):
        # The counter that the program keeps itself is optional here.
        missing = [e.target.name for e in report.fresh if path_of(e.target.key) != SAVE_COUNTER]
        passes = not (missing or report.raises)
        message = "Passes: every variable of the program has its name in the checkpoint."
        if report.raises:
            message = "Is not reached: the call raises."
        elif missing:
            message = (
                f"Fails: some objects had attributes which were not restored: {_some(missing)}."
            )
        for call in ("assert_existing_objects_matched()", "assert_consumed()"):
            yield Statement(call=call, passes=passes, message=message)


def _quiet(report: RestoreReport) -> str:
    needed, left = len(report.model_fresh), len(report.fresh)
    if not report.bound:
        return "Raises nothing, and restores nothing at all."
    if needed:
        return (
            f"Raises nothing, although {plural(needed, 'variable')} of the model would stay fresh."
        )
    if left:
        return f"Raises nothing; {plural(left, 'variable')} that predictions do not need stay."
    return "Raises nothing."


def _of_objects(report: RestoreReport, walked: Walked) -> Iterator[Statement]:
    if report.raises:
        for call in ("assert_existing_objects_matched()", "assert_consumed()"):
            yield Statement(call=call, passes=False, message="Is not reached: the call raises.")
        return
    missing = [each.target.name for each in report.fresh]
    if not walked.counter and not any("save_counter" in name for name in missing):
        missing.append("save_counter")
    yield Statement(
        call="assert_existing_objects_matched()",
        passes=not missing,
        message=_matched_message(missing, walked),
    )
    unused = [each.key for each in report.unused]
    yield Statement(
        call="assert_consumed()",
        passes=not missing and not unused,
        message="Passes: every value of the checkpoint went into the program, and every variable "
        "of the program got one."
        if not missing and not unused
        else "Fails as assert_existing_objects_matched() does."
        if missing
        else f"Fails: {plural(len(unused), 'value')} of the checkpoint unresolved: "
        f"{_some(unused)}. TensorFlow names the first alone.",
    )
    yield Statement(
        call="expect_partial()",
        passes=True,
        message=f"Silences the warnings about {plural(len(unused), 'unused value')}; checks "
        "nothing."
        if unused
        else "Has nothing to silence; checks nothing.",
    )


def _matched_message(missing: Sequence[str], walked: Walked) -> str:
    if not missing:
        return "Passes: every variable of the program has a value in the checkpoint."
    listed = f"Found {plural(len(missing), 'Python object')} that were not bound: {_some(missing)}"
    if len(missing) > 10:
        listed += "; TensorFlow shows 10 of them"
    if list(missing) == ["save_counter"]:
        return (
            "Fails: the checkpoint has no save_counter, as one made by write() or a SavedModel, "
            "and restore() asks for it. Use read(), which does not."
        )
    if not walked.counter:
        listed += " (save_counter is asked for by restore(), and not by read())"
    return f"Fails: {listed}."


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def findings_of(report: RestoreReport, walked: Walked | None) -> Iterator[Finding]:
    """What a person should know, the worst first."""
    needed = [each for each in report.bound if each.target.in_model]
    if not needed:
        yield _nothing_binds(report)
    elif report.head is not None:
        yield Finding(
            code="only-head-differs",
            severity=Severity.WARNING,
            message=report.head.why,
            remedy="For transfer learning restore the rest, and train the head.",
        )
    if needed and report.head is None:
        yield from _not_restored(report)
    yield from _mismatches(report)
    if report.rule is Rule.EDGES and walked is not None and not walked.counter and needed:
        yield Finding(
            code="no-save-counter",
            severity=Severity.INFO,
            message="The checkpoint has no save_counter, as one made by write() or a SavedModel: "
            "restore() works, assert_existing_objects_matched() fails.",
            remedy="Use read() in place of restore().",
        )
    unused = [each for each in report.unused if each.role in MODEL_ROLES]
    if unused and needed:
        yield Finding(
            code="unused-weights",
            severity=Severity.WARNING,
            message=f"{plural(len(unused), 'variable')} of the checkpoint's model would go "
            f"unused: {_some([each.key for each in unused])}.",
        )
    if not report.certain:
        yield Finding(
            code="restore-inferred",
            severity=Severity.INFO,
            message="What binds was told by comparing names and shapes; the files do not say by "
            "which path the library would find it.",
            remedy="Run the validation: its worker loads the model and reads everything back.",
        )


def _nothing_binds(report: RestoreReport) -> Finding:
    suggested = sum(bool(each.suggestion) for each in report.model_fresh)
    remedy = "The checkpoint is of another model, or was saved from another root object."
    if suggested:
        remedy = (
            f"{plural(suggested, 'variable')} would bind under another name: use the rename "
            "rules or the Python that restores by a name map."
        )
    said = report.raises or "the call raises nothing, and the model keeps its fresh values"
    if not report.certain:
        said = "no variable of it has its like in the checkpoint"
    return Finding(
        code="nothing-binds",
        severity=Severity.ERROR,
        message=f"Nothing of the model would be restored: {said.rstrip('.')}.",
        remedy=remedy,
    )


def _not_restored(report: RestoreReport) -> Iterator[Finding]:
    fresh = report.model_fresh
    if fresh:
        suggested = sum(bool(each.suggestion) for each in fresh)
        yield Finding(
            code="stays-fresh",
            severity=Severity.ERROR,
            message=f"{plural(len(fresh), 'variable')} of the model would stay fresh: "
            f"{_some([each.target.name for each in fresh])}.",
            remedy=f"{suggested} of them would bind under another name: use the rename rules."
            if suggested
            else "",
        )


def _mismatches(report: RestoreReport) -> Iterator[Finding]:
    if report.head is not None:
        return
    for each in report.mismatched:
        cast = each.kind is MismatchKind.DTYPE
        yield Finding(
            code="dtype-mismatch" if cast else "shape-mismatch",
            severity=Severity.ERROR if each.target.in_model else Severity.WARNING,
            message=f"{each.target.name}: {each.reason}.",
            remedy=f"Cast the checkpoint to {each.target.dtype}, or assign it with a cast."
            if cast
            else "",
            variable=each.key,
        )
