"""The verdict: what passes, what fails, and that a check of nothing never passes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ckptviewer.validation.file_statistics import differences
from ckptviewer.validation.protocol import (
    Agreement,
    BindMode,
    Bound,
    Digest,
    Hello,
    Measurements,
    Mismatched,
    Missing,
    ModelInfo,
    ModelKind,
    Note,
    Outcome,
    OutputAgreement,
    ReadBack,
    Restored,
    VariableInfo,
    VariableReadBack,
)
from ckptviewer.validation.report import ValidationReport, compare_statistics, report_of
from ckptviewer.validation.verdict import (
    BadRequirementError,
    Requirement,
    StatisticsRow,
    Thresholds,
    parse_requirement,
)
from tests.analysis.memory_checkpoint import MemoryCheckpoint

NAMES = ("kernel", "bias")
SAME = tuple(StatisticsRow(name=n, mean_difference=0.0, std_difference=0.0) for n in NAMES)


def outcome(
    *,
    bound: tuple[str, ...] = NAMES,
    missing: tuple[str, ...] = (),
    mismatched: tuple[str, ...] = (),
    variables: tuple[str, ...] = NAMES,
    equal: dict[str, bool | None] | None = None,
    changed: bool = True,
    metrics: dict[str, float | None] | None = None,
    agreement: float | None = None,
    sides: str = "a",
) -> Outcome:
    digest = Digest(digest="d", count=1)
    told = dict.fromkeys(variables, True) | (equal or {})
    restored = Restored(
        checkpoint="a",
        mode=BindMode.NAMES,
        how="by names",
        bound=tuple(Bound(key=f"key/{name}", name=name, rule="name") for name in bound),
        missing=tuple(Missing(name=name, dtype="float32", shape=()) for name in missing),
        mismatched=tuple(Mismatched(key="k", name=name, reason="shape") for name in mismatched),
        unused=("left",),
    )
    read_back = ReadBack(
        checkpoint="a",
        variables=tuple(
            VariableReadBack(
                name=name, key=None, before=digest, after=digest, changed=changed, equal=told[name]
            )
            for name in variables
        ),
    )
    outputs = OutputAgreement(
        output="y", examples=10, argmax=agreement, agreement=agreement, max_abs=0, mean_abs=0
    )
    infos = tuple(VariableInfo(name=name, dtype="float32", shape=()) for name in variables)
    return Outcome(
        hello=Hello(protocol=1, python="3", pid=1),
        model=ModelInfo(kind=ModelKind.KERAS, variables=infos),
        restored=dict.fromkeys(sides, restored),
        read_back=dict.fromkeys(sides, read_back),
        measurements={
            side: Measurements(checkpoint=side, examples=10, values=metrics) for side in sides
        }
        if metrics is not None
        else {},
        agreement=Agreement(outputs=(outputs,)) if agreement is not None else None,
        notes=(Note(code="a-note", severity="warning", message="Mind this."),),
    )


def judge(found: Outcome, *require: str, **options: Any) -> ValidationReport:
    thresholds = Thresholds(requirements=tuple(map(parse_requirement, require)))
    return report_of(found, checkpoint="c", model="m", thresholds=thresholds, **options)


def failed(report: ValidationReport) -> dict[str, tuple[str, ...]]:
    return {check.name: check.failing for check in report.checks if not check.passes}


def test_all_bound_and_read_back_equal_passes() -> None:
    report = judge(outcome())
    assert report.passes
    assert report.verdict == "pass"
    assert [check.name for check in report.checks] == ["restore", "read-back"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (outcome(bound=("kernel",), missing=("bias",)), {"restore": ("bias",)}),
        (outcome(bound=("kernel",), mismatched=("bias",)), {"restore": ("bias",)}),
        (outcome(bound=("kernel",)), {"restore": ("bias",)}),
        (outcome(equal={"bias": False}), {"read-back": ("bias",)}),
        (outcome(equal={"bias": None}), {"read-back": ("bias",)}),
    ],
)
def test_one_that_is_not_restored_fails_and_is_named(
    found: Outcome, expected: dict[str, tuple[str, ...]]
) -> None:
    report = judge(found)
    assert failed(report) == expected
    for check in report.checks:
        assert all(name in check.message for name in check.failing)


@pytest.mark.parametrize(
    "found",
    [
        Outcome(hello=Hello(protocol=1, python="3", pid=1)),
        outcome(bound=(), variables=()),
        outcome(bound=(), missing=NAMES),
    ],
    ids=["nothing happened", "a model without variables", "nothing bound"],
)
def test_a_check_of_nothing_never_passes(found: Outcome) -> None:
    assert not judge(found).passes
    assert "restore" in failed(judge(found))
    assert not report_of(found, checkpoint="c", model="m", against="b").passes


def test_a_report_without_checks_does_not_pass() -> None:
    empty = ValidationReport(
        checkpoint="c", model="m", against="", outcome=outcome(), thresholds=Thresholds()
    )
    assert not empty.passes


@pytest.mark.parametrize(
    ("value", "passes"), [(0.95, True), (0.9, True), (0.8999, False), (None, False)]
)
def test_required_metrics(value: float | None, passes: bool) -> None:
    assert judge(outcome(metrics={"accuracy": value}), "accuracy>=0.9").passes is passes


def test_a_required_metric_that_was_not_measured_fails() -> None:
    assert not judge(outcome(metrics={"loss": 0.1}), "accuracy>=0.9").passes
    assert not judge(outcome(), "accuracy>=0.9").passes
    assert judge(outcome(metrics={"AUC": 0.95}), "auc>=0.9").passes


def test_metrics_are_required_of_the_first_checkpoint() -> None:
    found = outcome(metrics={"accuracy": 0.95}, agreement=1.0, sides="ab")
    worse = Measurements(checkpoint="b", examples=10, values={"accuracy": 0.1})
    found.measurements["b"] = worse  # type: ignore[index]
    assert judge(found, "accuracy>=0.9", against="b", statistics=SAME).passes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy>=0.9", Requirement(metric="accuracy", operator=">=", limit=0.9)),
        (" loss <= 1e-3 ", Requirement(metric="loss", operator="<=", limit=1e-3)),
        ("mse<2", Requirement(metric="mse", operator="<", limit=2.0)),
        ("top_5_accuracy>0.5", Requirement(metric="top_5_accuracy", operator=">", limit=0.5)),
    ],
)
def test_requirements_are_read(text: str, expected: Requirement) -> None:
    assert parse_requirement(text) == expected
    assert parse_requirement(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "accuracy", "accuracy=0.9", ">=1", "a>=b", "a>=nan", "a>=inf"]
)
def test_what_is_no_requirement(text: str) -> None:
    with pytest.raises(BadRequirementError):
        parse_requirement(text)


def test_nan_meets_nothing() -> None:
    for operator in (">=", ">", "<=", "<"):
        assert not Requirement(metric="a", operator=operator, limit=0).met_by(math.nan)


def test_two_checkpoints_pass_where_statistics_and_outputs_agree() -> None:
    report = judge(outcome(agreement=1.0, sides="ab"), against="b", statistics=SAME)
    assert report.passes
    assert [check.name for check in report.checks] == [
        "restore", "read-back", "restore", "read-back", "statistics", "agreement",
    ]  # fmt: skip


@pytest.mark.parametrize(("agreement", "passes"), [(0.991, True), (0.99, False), (0.5, False)])
def test_outputs_have_to_agree_on_more_than_the_threshold(agreement: float, passes: bool) -> None:
    report = judge(outcome(agreement=agreement, sides="ab"), against="b", statistics=SAME)
    assert report.passes is passes
    assert failed(report).keys() == (set() if passes else {"agreement"})


def test_outputs_that_were_not_compared_do_not_agree() -> None:
    assert "agreement" in failed(judge(outcome(sides="ab"), against="b", statistics=SAME))


def with_nonfinite(agreement: float | None, examples: int) -> ValidationReport:
    output = OutputAgreement(
        output="y", examples=10, argmax=agreement, agreement=agreement, max_abs=None,
        mean_abs=None, nonfinite=examples * 3, nonfinite_examples=examples,
        nonfinite_at=tuple(range(examples)),
    )  # fmt: skip
    found = replace(outcome(sides="ab"), agreement=Agreement(outputs=(output,)))
    return judge(found, against="b", statistics=SAME)


def test_two_that_give_nothing_but_nan_do_not_agree() -> None:
    report = with_nonfinite(None, 10)
    assert failed(report) == {"agreement": ("y",)}
    (message,) = [check.message for check in report.checks if check.name == "agreement"]
    assert message == "No output of A and B is finite, and nothing could be compared: y."
    (finding,) = [each for each in report.findings if each.code == "both-not-finite"]
    assert finding.severity == "error"
    assert "30 values of the output y" in finding.message
    assert "in 10 of 10 examples (0, 1, 2, 3, 4, 5, \u2026)" in finding.message


def test_some_nan_in_both_is_a_finding() -> None:
    report = with_nonfinite(0.995, 1)
    assert report.passes
    (finding,) = [each for each in report.findings if each.code == "both-not-finite"]
    assert finding.severity == "warning"
    assert "3 values of the output y" in finding.message
    assert "in 1 of 10 examples (0)" in finding.message
    assert "of 10 examples, of which 1 has NaN or Inf in both." in report.checks[-1].message
    assert not [e for e in judge(outcome(agreement=1.0, sides="ab"), against="b").findings
                if e.code == "both-not-finite"]  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "passes"),
    [(0.0, True), (9e-6, True), (-9e-6, True), (1e-5, False), (-2e-5, False), (math.nan, False)],
)
def test_each_variable_has_to_be_within_the_statistics_threshold(
    difference: float, passes: bool
) -> None:
    for field in ("mean_difference", "std_difference"):
        numbers = {"mean_difference": 0.0, "std_difference": 0.0, field: difference}
        rows = (SAME[0], StatisticsRow(name="bias", **numbers))
        report = judge(outcome(agreement=1.0, sides="ab"), against="b", statistics=rows)
        assert report.passes is passes
        assert failed(report) == ({} if passes else {"statistics": ("bias",)})


def test_thresholds_can_be_edited() -> None:
    rows = (StatisticsRow(name="bias", mean_difference=0.01, std_difference=0.0),)
    found = outcome(agreement=0.9, sides="ab")
    loose = Thresholds(agreement=0.8, statistics=0.1)
    assert report_of(
        found, checkpoint="c", model="m", against="b", statistics=rows, thresholds=loose
    ).passes


def test_statistics_of_real_values() -> None:
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(40, 30)).astype(np.float32)
    a = MemoryCheckpoint(
        {"k": kernel, "b": np.zeros(3), "n": np.array([np.nan, 1.0]), "s": np.ones(4)},
        damaged={"d": ValueError()},
    )
    b = MemoryCheckpoint(
        {"k2": kernel + 0.5, "b": np.zeros(3), "n": np.array([2.0, 1.0]), "s": np.ones(5)}
    )
    bound_a = {"kernel": "k", "bias": "b", "nan": "n", "shape": "s"}
    bound_b = {"kernel": "k2", "bias": "b", "nan": "n", "shape": "s"}
    with ThreadPoolExecutor(2) as executor:
        found = differences(a, b, [("k", "k2"), ("b", "b"), ("n", "n")], executor, 2)
    rows = compare_statistics(a, b, bound_a, bound_b, [*bound_a, "absent"], found)
    by_name = {row.name: row for row in rows}
    assert by_name["kernel"].mean_difference == pytest.approx(0.5, abs=1e-6)
    assert by_name["kernel"].std_difference == pytest.approx(0, abs=1e-6)
    assert by_name["bias"].passes(1e-5)
    assert "not finite" in by_name["nan"].problem
    assert by_name["shape"].problem == "the shapes differ"
    assert by_name["absent"].problem == "nothing of A and B is bound to it"
    assert [row.name for row in rows if row.passes(1e-5)] == ["bias"]


def test_what_is_equal_by_checksum_is_not_read() -> None:
    from concurrent.futures import ThreadPoolExecutor

    a = MemoryCheckpoint({"k": np.ones(3)}, checksums={"k": 7})
    b = MemoryCheckpoint({"k": np.ones(3)}, checksums={"k": 7})
    with ThreadPoolExecutor(1) as executor:
        assert differences(a, b, [("k", "k")], executor, 1) == {("k", "k"): (0.0, 0.0)}
    assert a.reads == b.reads == []


def test_the_document_is_json_whatever_was_measured() -> None:
    found = outcome(metrics={"loss": math.nan, "accuracy": 1.0}, equal={"bias": False})
    document = json.loads(json.dumps(judge(found).as_document(), allow_nan=False))
    assert document["verdict"] == "fail"
    assert document["metrics"] == {"loss": None, "accuracy": 1.0}
    assert document["restore"]["bound"][0]["key"] == "key/kernel"
    assert document["restore"]["unused"] == ["left"]
    assert document["read_back"]["different"] == ["bias"]
    assert document["read_back"]["equal"] is False
    assert document["agreement"] is None
    assert document["statistics"] == {}


def test_silence_is_told() -> None:
    codes = {finding.code for finding in judge(outcome()).findings}
    assert codes == {"a-note"}
    unchanged = judge(outcome(changed=False, equal={"bias": None}))
    assert "unchanged-by-restore" in {finding.code for finding in unchanged.findings}
    different = judge(outcome(equal={"bias": False}))
    assert "differs-from-file" in {finding.code for finding in different.findings}
