"""A validation for people, and as the document that scripts rely on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import plural, printable
from ckptviewer.cli.restore_output import print_advice, restore_document

if TYPE_CHECKING:
    from ckptviewer.validation.history import Earlier
    from ckptviewer.validation.report import ValidationReport
    from ckptviewer.validation.validating import Validation

_MOST_NAMES = 20
_MOST_EARLIER = 5
_IN_MESSAGE = 3


def as_document(
    report: ValidationReport, validation: Validation, earlier: Sequence[Earlier]
) -> dict[str, Any]:
    """The report, with what the files alone had told, and the earlier validations."""
    document = report.as_document()
    expected = validation.expected
    document["expected"] = None if expected is None else restore_document(expected)
    document["earlier"] = [
        {
            "at": datetime.fromtimestamp(each.at).astimezone().isoformat(timespec="seconds"),
            "verdict": each.verdict,
            "checkpoint": each.checkpoint_path,
            "same_checkpoint": each.same_checkpoint,
            "metrics": each.metrics,
        }
        for each in earlier
    ]
    return document


def print_for_people(
    report: ValidationReport, validation: Validation, earlier: Sequence[Earlier]
) -> None:
    """The checks, the metrics, what stands out, and the verdict in the last line."""
    _print_what(report, validation)
    named: set[str] = set()
    for check in report.checks:
        side = f" ({check.side.upper()})" if check.side and report.against else ""
        mark = "pass" if check.passes else "FAIL"
        print(f"  {mark}  {check.name + side:18}  {printable(check.message)}")
        if check.name != "statistics":  # which has a table of its own
            _print_names([name for name in check.failing if name not in named][_IN_MESSAGE:])
        named.update(check.failing)
    _print_metrics(report)
    _print_differences(report)
    if report.gains:
        print("\n  What B gained over A, in medians:")
    for gain in report.gains:
        print(f"  {gain.name:20}  {gain.text}")
    findings = [each for each in report.findings if each.severity is not Severity.INFO]
    for finding in findings:
        print(printable(f"{finding.severity}: {finding.message} {finding.remedy}".rstrip()))
    if not report.passes and validation.expected is not None:
        if validation.expected.head is not None:
            print(f"\n{printable(validation.expected.head.why)}")
        print_advice(validation.expected)
    _print_earlier(earlier)
    failed = sum(not check.passes for check in report.checks)
    told = f"{plural(len(report.checks), 'check')} passed"
    if not report.passes:
        told = f"{failed} of {plural(len(report.checks), 'check')} failed"
    print(f"\nVerdict: {report.verdict} ({told})")


def _print_names(names: Sequence[str]) -> None:
    for name in names[:_MOST_NAMES]:
        print(f"        {'':18}  {printable(name)}")
    if len(names) > _MOST_NAMES:
        print(f"        {'':18}  and {len(names) - _MOST_NAMES} more; --json lists all")


def _print_what(report: ValidationReport, validation: Validation) -> None:
    from ckptviewer.validation.datasets import describe

    outcome = report.outcome
    letter = "A  " if report.against else ""
    print(f"{letter}{printable(report.checkpoint)}")
    if report.against:
        print(f"B  {printable(report.against)}")
    versions = ""
    if outcome.libraries is not None:
        versions = f", TensorFlow {outcome.libraries.tensorflow}"
        if outcome.libraries.keras:
            versions += f", Keras {outcome.libraries.keras}"
    print(f"   into {printable(report.model + versions)}")
    if validation.data is not None:
        print(f"   data: {describe(validation.data)}")
    elif report.against:
        print("   data: random input, seeded")
    restored = outcome.restored.get("a")
    if restored is not None and restored.how:
        print(f"   restored by {printable(restored.how)}")
    print()


def _print_metrics(report: ValidationReport) -> None:
    measured = report.outcome.measurements
    sides = [side for side in ("a", "b") if side in measured]
    names = list(dict.fromkeys(name for side in sides for name in measured[side].values))
    if not names:
        return
    width = max(map(len, names))
    print()
    if len(sides) > 1:
        print(f"  {'':{width}}  {'A':>12}  {'B':>12}")
    for name in names:
        cells = (f"{_shown(measured[side].values.get(name)):>12}" for side in sides)
        print(f"  {printable(name):{width}}", *cells, sep="  ")
    for side in sides:
        found = measured[side]
        of = f" ({side.upper()})" if len(sides) > 1 else ""
        if found.latency_seconds is not None:
            rate = f", {found.throughput:.4g} a second" if found.throughput else ""
            print(
                f"  {plural(found.examples, 'example')}{of}: {found.latency_seconds * 1e3:.3g} ms "
                f"a batch of {found.batch_size}{rate}"
            )
        if found.nonfinite_outputs:
            print(f"  {plural(found.nonfinite_outputs, 'output')}{of} NaN or infinite")


def _print_differences(report: ValidationReport) -> None:
    limit = report.thresholds.statistics
    failing = [each for each in report.statistics if not each.passes(limit)]
    if not failing:
        return
    width = max(len(printable(each.name)) for each in failing[:_MOST_NAMES])
    print(f"\n  {'VARIABLE':{width}}  {'D MEAN':>12}  {'D STD':>12}")
    for each in failing[:_MOST_NAMES]:
        if each.problem:
            print(f"  {printable(each.name):{width}}  {printable(each.problem)}")
        else:
            numbers = (each.mean_difference, each.std_difference)
            cells = (f"{_shown(number):>12}" for number in numbers)
            print(f"  {printable(each.name):{width}}", *cells, sep="  ")
    if len(failing) > _MOST_NAMES:
        print(f"  and {len(failing) - _MOST_NAMES} more; --json lists all")


def _print_earlier(earlier: Sequence[Earlier]) -> None:
    if not earlier:
        return
    print("\nEarlier, with this model and data:")
    for each in earlier[:_MOST_EARLIER]:
        when = datetime.fromtimestamp(each.at).strftime("%Y-%m-%d %H:%M")
        values = ", ".join(f"{name} {_shown(value)}" for name, value in each.metrics.items())
        which = "this checkpoint" if each.same_checkpoint else each.checkpoint_path
        print(printable(f"  {when}  {each.verdict}  {which}  {values}".rstrip()))


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"
