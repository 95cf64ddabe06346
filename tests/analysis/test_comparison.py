"""Comparisons: statuses from indexes and from values, schedules, damage, what is said of it all."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.analysis import comparison_schedule, scheduling
from ckptviewer.analysis.comparison import (
    Basis,
    Comparison,
    ComparisonOptions,
    Status,
    VariableDelta,
    compare_indexes,
    first_answer,
)
from ckptviewer.analysis.comparison_command import command_line
from ckptviewer.analysis.comparison_schedule import ComparisonSchedule
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.matching import Match, Reason
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import Cancelled, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.renaming import RenameRule, parse_rule
from ckptviewer.formats.resolve import open_checkpoint
from tests import builders
from tests.analysis.at_once import AtOnce
from tests.analysis.memory_checkpoint import MemoryCheckpoint

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(300, 40)).astype(np.float32)


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def by_key(a: Checkpoint, b: Checkpoint) -> list[Match]:
    keys = dict.fromkeys([*a.by_key, *b.by_key])
    return [
        Match(
            key_a=key if key in a.by_key else None,
            key_b=key if key in b.by_key else None,
            reason=Reason.KEY if key in a.by_key and key in b.by_key else None,
            confidence=1.0,
            why="",
        )
        for key in keys
    ]


def compared(
    a: Checkpoint,
    b: Checkpoint,
    options: ComparisonOptions | None = None,
    matches: list[Match] | None = None,
    executor: Executor | None = None,
) -> Comparison:
    first = compare_indexes(a, b, by_key(a, b) if matches is None else matches, options)
    return first.refined(ComparisonSchedule(a, b, first).run(executor or AtOnce(), 2))


def only(comparison: Comparison) -> VariableDelta:
    (delta,) = comparison.deltas
    return delta


def pair(a: np.ndarray, b: np.ndarray, options: ComparisonOptions | None = None) -> VariableDelta:
    """The row of one variable in two checkpoints that cut it differently."""
    one = MemoryCheckpoint({"v": a}, chunk_elements=777)
    other = MemoryCheckpoint({"v": b}, chunk_elements=1001)
    return only(compared(one, other, options))


def test_checksums_answer_at_once_without_reading() -> None:
    a = MemoryCheckpoint(
        {"same": KERNEL, "changed": KERNEL, "gone": KERNEL, "old": KERNEL},
        checksums={"same": 1, "changed": 2, "gone": 3, "old": 4},
    )
    b = MemoryCheckpoint(
        {"same": KERNEL, "changed": KERNEL + 1, "fresh": KERNEL, "new": KERNEL},
        checksums={"same": 1, "changed": 5, "fresh": 6, "new": 4},
    )
    matches = [each for each in by_key(a, b) if each.key_a != "old" and each.key_b != "new"]
    matches.append(Match(key_a="old", key_b="new", reason=Reason.CHECKSUM, confidence=0.9, why=""))
    first = compare_indexes(a, b, matches)
    assert not a.reads + b.reads
    told = {delta.key: (delta.status, delta.basis) for delta in first.deltas}
    assert told == {
        "same": (Status.SAME, Basis.CHECKSUM),
        "changed": (Status.CHANGED, Basis.CHECKSUM),
        "gone": (Status.REMOVED, None),
        "fresh": (Status.ADDED, None),
        "new": (Status.RENAMED, Basis.CHECKSUM),
    }
    assert first.pending == 0
    schedule = ComparisonSchedule(a, b, first)
    (changed,) = schedule.run(AtOnce())
    assert (changed.key, changed.basis) == ("changed", Basis.VALUES)
    assert changed.difference is not None
    assert changed.difference.max_abs == pytest.approx(1, rel=1e-6)
    assert set(a.reads + b.reads) == {"changed"}


def test_what_is_equal_by_checksum_is_read_when_asked_for() -> None:
    a, b = (MemoryCheckpoint({"v": KERNEL}, checksums={"v": 1}) for _ in range(2))
    delta = only(compared(a, b, ComparisonOptions(values=True)))
    assert (delta.status, delta.basis) == (Status.SAME, Basis.VALUES)
    assert a.reads


def test_without_checksums_the_values_decide() -> None:
    a, b = (MemoryCheckpoint({"v": KERNEL}) for _ in range(2))
    first = compare_indexes(a, b, by_key(a, b))
    assert first.pending == 1
    assert only(first).pending
    assert not first.identical
    assert compared(a, b).identical


def test_checksums_of_another_byte_order_tell_nothing() -> None:
    a, b = (MemoryCheckpoint({"v": KERNEL}, checksums={"v": 1}) for _ in range(2))
    b.facts["Byte order"] = "big-endian"
    assert only(compare_indexes(a, b, by_key(a, b))).pending


def test_equal_content_under_another_key_is_renamed() -> None:
    a, b = MemoryCheckpoint({"x": KERNEL}), MemoryCheckpoint({"y": KERNEL})
    match = Match(key_a="x", key_b="y", reason=Reason.HAND, confidence=1.0, why="")
    comparison = compared(a, b, matches=[match])
    assert only(comparison).status is Status.RENAMED
    assert comparison.identical
    moved = MemoryCheckpoint({"y": KERNEL + 1})
    comparison = compared(a, moved, matches=[match])
    assert (only(comparison).status, comparison.identical) == (Status.CHANGED, False)


def test_tolerance_makes_the_same() -> None:
    near = KERNEL + np.float32(1e-4)
    within = pair(KERNEL, near, ComparisonOptions(tolerance=Tolerance(atol=2e-4)))
    beyond = pair(KERNEL, near, ComparisonOptions(tolerance=Tolerance(atol=5e-5)))
    assert (within.status, beyond.status) == (Status.SAME, Status.CHANGED)
    assert within.difference is not None
    assert within.difference.max_abs == pytest.approx(1e-4, rel=1e-2)


def test_one_nan_is_a_change() -> None:
    broken = KERNEL.copy()
    broken[3, 4] = np.nan
    delta = pair(KERNEL, broken)
    assert (delta.status, delta.note) == (Status.CHANGED, "NaN: 0 in A, 1 in B")
    assert pair(broken, broken.copy()).status is Status.SAME
    generous = ComparisonOptions(tolerance=Tolerance(atol=1e9))
    assert pair(KERNEL, broken, generous).status is Status.CHANGED


def test_the_sign_of_zero_is_content_and_told() -> None:
    delta = pair(np.zeros(3), -np.zeros(3))
    assert delta.status is Status.CHANGED
    assert "signs of zeros" in delta.note
    tolerant = ComparisonOptions(tolerance=Tolerance(rtol=1e-9))
    assert pair(np.zeros(3), -np.zeros(3), tolerant).status is Status.SAME


def test_retyped_is_compared_in_the_wider_dtype() -> None:
    delta = pair(KERNEL, KERNEL.astype(np.float64))
    assert (delta.status, delta.note) == (Status.RETYPED, "equal in value")
    rounded = pair(KERNEL, KERNEL.astype(np.float16))
    assert rounded.difference is not None
    wanted = np.abs(KERNEL.astype(np.float16).astype(np.float64) - KERNEL).max()
    assert rounded.difference.max_abs == wanted


def test_a_grown_vocabulary() -> None:
    delta = pair(KERNEL, np.concatenate([KERNEL, KERNEL[:10]]))
    assert (delta.status, delta.note) == (Status.RESHAPED, "first 300 rows equal, 10 rows added")
    assert delta.difference is not None
    assert (delta.difference.equal_rows, delta.difference.max_abs) == (300, 0)
    changed = KERNEL[:200].copy()
    changed[123] += 1
    shrunk = pair(KERNEL, changed)
    assert shrunk.note == "first 123 rows of 200 equal, 100 rows removed"


def test_transposes_are_seen() -> None:
    delta = pair(KERNEL, KERNEL.T.copy())
    assert (delta.status, delta.note) == (Status.RESHAPED, "B is the transpose of A")
    assert delta.difference is not None
    assert delta.difference.transposed
    assert pair(KERNEL, 2 * KERNEL.T).note == "compared with the transpose"
    square = KERNEL[:40]
    delta = pair(square, square.T.copy())
    assert (delta.status, delta.note) == (Status.CHANGED, "B is the transpose of A")
    assert "transpose" not in pair(square, square[::-1].copy()).note


@pytest.mark.parametrize(
    ("b", "note"),
    [
        (KERNEL.reshape(30, 10, 40), "the same elements in the same order"),
        (KERNEL[::-1].reshape(30, 10, 40), "compared in order"),
        (np.concatenate([KERNEL, KERNEL], 1), "compared in the 300 × 40 that both have"),
        (KERNEL[0], "shapes that do not lie over each other"),
    ],
)
def test_other_shapes(b: np.ndarray, note: str) -> None:
    delta = pair(KERNEL, np.ascontiguousarray(b))
    assert (delta.status, delta.note) == (Status.RESHAPED, note)


def test_strings_and_numbers_are_not_compared() -> None:
    strings = np.array([b"a", b"bc"], object)
    assert pair(strings, strings.copy()).status is Status.SAME
    assert pair(strings, strings[::-1].copy()).status is Status.CHANGED
    assert "strings on one side" in pair(strings, np.ones(2)).note


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (1,)])
def test_scalars_and_empty_ones(shape: tuple[int, ...]) -> None:
    assert pair(np.ones(shape), np.ones(shape)).status is Status.SAME


def test_what_cannot_be_read_is_told_and_the_rest_compared() -> None:
    damaged = DamagedFileError("it is torn", where="v")
    a = MemoryCheckpoint({"v": KERNEL, "w": KERNEL})
    b = MemoryCheckpoint({"v": KERNEL, "w": KERNEL}, damaged={"v": damaged})
    comparison = compared(a, b)
    torn, sound = comparison.deltas
    assert (torn.status, torn.basis, sound.status) == (Status.CHANGED, None, Status.SAME)
    assert "it is torn" in torn.problem
    assert not comparison.identical
    assert not comparison.could_not
    assert comparison.problems == (torn,)


def test_damage_that_is_known_counts_against_equal_checksums() -> None:
    a, b = (MemoryCheckpoint({"v": KERNEL}, checksums={"v": 1}) for _ in range(2))
    b.findings = (
        Finding(
            code="unreadable-variable",
            severity=Severity.ERROR,
            message="v cannot be read.",
            variable="v",
        ),
    )
    comparison = compared(a, b)
    assert only(comparison).problem == "v cannot be read."
    assert comparison.could_not
    assert not b.reads


def test_nothing_is_not_identical() -> None:
    assert not compared(MemoryCheckpoint({}), MemoryCheckpoint({})).identical


def test_largest_first_and_what_is_preferred_before_it() -> None:
    arrays = {f"v{size}": np.ones(size) for size in (10, 900_000, 800_000, 700_000, 20, 600_000)}
    a, b = MemoryCheckpoint(arrays), MemoryCheckpoint(arrays)
    first = compare_indexes(a, b, by_key(a, b))
    schedule = ComparisonSchedule(a, b, first)
    running = schedule.run(AtOnce(), 1)
    assert next(running).key == "v900000"
    schedule.prefer([("v20", "v20"), ("not", "there")])
    rest = [delta.key for delta in running]
    assert rest.index("v20") < rest.index("v600000")
    assert schedule.progress.fraction == 1


def test_a_large_one_is_split_and_checked_whole(
    monkeypatch: pytest.MonkeyPatch, threads: Executor
) -> None:
    monkeypatch.setattr(scheduling, "PART_ELEMENTS", 100_000)
    monkeypatch.setattr(comparison_schedule, "PART_ELEMENTS", 100_000)
    one = RNG.normal(size=(7, 90_000))
    other = one + 1e-3 * RNG.normal(size=one.shape)
    a, b = (
        MemoryCheckpoint({"v": each}, checksums={"v": n}) for n, each in enumerate((one, other))
    )
    executor = AtOnce()
    delta = only(compared(a, b, executor=executor))
    assert len(executor.tasks) == 9
    assert delta.difference is not None
    assert delta.difference.count == one.size
    assert delta.difference.max_abs == np.abs(other - one).max()
    assert delta.difference.mean_difference == pytest.approx((other - one).mean(), abs=1e-15)
    torn = MemoryCheckpoint({"v": other}, damaged={"v": DamagedFileError("torn", where="v")})
    assert only(compared(a, torn, executor=threads)).problem


def test_cancelling_stops_it(threads: Executor) -> None:
    a, b = (MemoryCheckpoint({f"v{n}": KERNEL for n in range(2000)}) for _ in range(2))
    cancel = CancelToken()
    schedule = ComparisonSchedule(a, b, compare_indexes(a, b, by_key(a, b)), cancel=cancel)
    running = schedule.run(threads)
    next(running)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(running)
    assert len(a.reads) < 2000


def test_partitioned_against_whole(tmp_path: Path) -> None:
    values = RNG.normal(size=(90, 7)).astype(np.float32)
    whole = builders.save(tmp_path / "whole", {"v": values})
    parts = builders.save_slices(tmp_path / "parts", builders.cut("v", values, (20, 50)))
    with open_checkpoint(whole) as a, open_checkpoint(parts) as b:
        comparison = compared(a, b)
    assert (only(comparison).status, only(comparison).basis) == (Status.SAME, Basis.VALUES)


def test_bytes_turned_round_are_the_same(tmp_path: Path) -> None:
    little = builders.save(tmp_path / "little", {"v": KERNEL})
    big = builders.Bundle.of(little)
    big.to_big_endian()
    with open_checkpoint(little) as a, open_checkpoint(big.write(tmp_path / "big")) as b:
        assert compared(a, b).identical


def test_values_that_are_no_numbers_are_compared_by_their_bytes(tmp_path: Path) -> None:
    variant = builders.sample_values(21)
    paths = [
        builders.save(tmp_path / name, {"iterator": variant, "v": KERNEL}) for name in ("a", "b")
    ]
    with open_checkpoint(paths[0]) as a, open_checkpoint(paths[1]) as b:
        comparison = compared(a, b, ComparisonOptions(values=True))
    assert comparison.identical
    assert comparison.deltas[0].note == "compared by its stored bytes"


def test_what_has_no_values_keeps_what_its_checksum_says(tmp_path: Path) -> None:
    saved = builders.save(tmp_path / "v", {"iterator": builders.sample_values(21), "v": KERNEL})
    big = builders.Bundle.of(saved)
    big.to_big_endian()  # whose stored bytes are not handed out
    path = big.write(tmp_path / "big")
    with open_checkpoint(path) as a, open_checkpoint(path) as b:
        comparison = compared(a, b, ComparisonOptions(values=True))
    assert comparison.identical
    bases = {delta.key: delta.basis for delta in comparison.deltas}
    assert bases == {"iterator": Basis.CHECKSUM, "v": Basis.VALUES}


def test_processes_do_the_same_as_threads(tmp_path: Path) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    paths = [
        builders.save(tmp_path / name, {"v": values})
        for name, values in (("a", KERNEL), ("b", KERNEL + 1))
    ]
    with open_checkpoint(paths[0]) as a, open_checkpoint(paths[1]) as b:
        first = first_answer(a, b)
        origins = (scheduling.Origin.of(a), scheduling.Origin.of(b))
        with ProcessPoolExecutor(1, get_context("spawn")) as executor:
            (far,) = ComparisonSchedule(a, b, first, origins=origins).run(executor, 1)
        (near,) = ComparisonSchedule(a, b, first).run(AtOnce(), 1)
    assert far == near


def test_the_command_line_says_what_was_asked_for() -> None:
    options = ComparisonOptions(
        tolerance=Tolerance(1e-5, 0.001),
        rules=(RenameRule("^old/", "new/"),),
        by_hand={"old/a.b": r"x\y=z", "left/alone": None},
        model_only=True,
        values=True,
        include_metadata=True,
    )
    text = command_line("dir one/a", "-b", options)
    program, command, *words = shlex.split(text)
    assert (program, command) == ("ckptviewer", "compare")
    assert words[:2] == ["dir one/a", "./-b"]
    assert words[2:6] == ["--atol", "1e-05", "--rtol", "0.001"]
    rules = [word.removeprefix("--rename=") for word in words if word.startswith("--rename=")]
    assert rules[0] == "^old/=new/"
    key = parse_rule(rules[0]).apply("old/a.b")
    assert parse_rule(rules[1]).apply(key) == r"x\y=z"
    assert parse_rule(rules[1]).apply("new/axb") == "new/axb"
    assert words[-3:] == ["--model-only", "--values", "--all"]
    assert command_line("a", "b") == "ckptviewer compare a b"
