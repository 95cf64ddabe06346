"""Variables that are measured together are measured as each would be alone."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ckptviewer.analysis import update_compiled, update_kernel
from ckptviewer.analysis.update_compiled import UpdateSums
from ckptviewer.checkpoint.errors import Cancelled, DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.runs import lanes
from ckptviewer.runs.column import Column, Work
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.runs.together import measure_together
from ckptviewer.storage.cache import Cache
from tests.analysis import kernels
from tests.builders import cut, data_file, save, save_slices
from tests.open_files import open_below
from tests.runs.test_timeline import expected, follow

RNG = np.random.default_rng(28)
STEPS = 5
Values = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    kernels.use("compiled", monkeypatch, pytestconfig, update_kernel)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which variables were measured together: checkpoint and key."""
    found: list[str] = []

    def noted(works, *rest):  # type: ignore[no-untyped-def]
        measured = measure_together(works, *rest)
        for work, rows in zip(works, measured, strict=True):
            variables = work.column.listed.variables
            name = work.column.entry.name
            found.extend(f"{name}:{variables[row].key}" for row in sorted(rows))
        return measured

    monkeypatch.setattr(lanes, "measure_together", noted)
    return found


def nothing(works: Sequence[Work]) -> list[set[int]]:
    return [set() for _ in works]


def walks(**starts: np.ndarray) -> list[Values]:
    steps = [starts]
    for _ in range(STEPS - 1):
        steps.append(
            {
                key: (value + 0.01 * RNG.standard_normal(value.shape)).astype(value.dtype)
                for key, value in steps[-1].items()
            }
        )
    return steps


def saved(directory: Path, steps: Sequence[Values]) -> None:
    for step, values in enumerate(steps):
        save(directory / f"ckpt-{step}", values)


def assert_right(table: TimelineTable, steps: Sequence[Values], key: str) -> None:
    for series in Series:
        for step, values in enumerate(steps):
            before = steps[step - 1].get(key) if step else None
            wanted = expected(series, values[key], before)
            near = pytest.approx(wanted, rel=1e-6, nan_ok=True)
            assert table.series(series, key)[step] == near, (series, step)


def test_as_alone(tmp_path: Path, together: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    normal = RNG.standard_normal
    steps = walks(
        kernel=normal((300, 100)).astype(np.float32),
        far=(1e4 + normal(70_000)).astype(np.float32),
        alike=np.full(9000, 3.0, np.float32),
        one=np.ones(1, np.float32),
        wide=normal(500),
    )
    for values in steps:
        values["alike"] = np.full(9000, values["alike"][0])
        values["zeros"] = np.where(RNG.random(5000) < 0.5, 0, values["kernel"][0, 0]).astype("f4")
    saved(tmp_path, steps)
    run = find_run(tmp_path).checkpoints
    table = follow(run)
    assert {name.partition(":")[2] for name in together} == set(steps[0]) - {"wide"}
    assert {name.partition(":")[0] for name in together} == {f"ckpt-{n}" for n in range(STEPS)}
    for key in steps[0]:
        assert_right(table, steps, key)
    monkeypatch.setattr(lanes, "measure_together", lambda works, *_: nothing(works))
    alone = follow(run)
    for series in Series:
        np.testing.assert_allclose(
            table.matrix(series), alone.matrix(series), rtol=1e-12, atol=1e-15
        )


def test_what_is_not_finite_is_counted(tmp_path: Path, together: list[str]) -> None:
    steps = walks(a=np.ones(20_000, np.float32), b=np.ones(20_000, np.float32))
    steps[3]["a"][[0, 7, 19_999]] = np.nan, np.inf, -np.inf
    saved(tmp_path, steps)
    table = follow(find_run(tmp_path).checkpoints)
    assert [name for name in together if name.endswith("a")] == [f"ckpt-{n}:a" for n in range(3)]
    assert [name for name in together if name.endswith("b")] == [f"ckpt-{n}:b" for n in range(5)]
    for key in ("a", "b"):
        assert_right(table, steps, key)


def test_what_is_damaged_is_named(tmp_path: Path, together: list[str]) -> None:
    steps = walks(a=np.ones(20_000, np.float32), b=np.ones(20_000, np.float32))
    saved(tmp_path, steps)
    data = data_file(tmp_path / "ckpt-3")
    raw = bytearray(data.read_bytes())
    raw[10] ^= 1  # in the first of them
    data.write_bytes(raw)
    table = follow(find_run(tmp_path).checkpoints)
    assert list(table.errors) == [(3, "a")]
    assert "checksum" in table.errors[3, "a"].what
    assert_right(table, steps, "b")
    norms = table.series(Series.NORM, "a")
    assert np.isnan(norms[3])
    assert norms[4] == pytest.approx(np.linalg.norm(steps[4]["a"]), rel=1e-6)
    assert np.isnan(table.series(Series.UPDATE, "a")[3:]).all()


def test_what_is_cut_off_is_named(tmp_path: Path) -> None:
    steps = walks(a=np.ones(20_000, np.float32), b=np.ones(20_000, np.float32))
    saved(tmp_path, steps)
    run = find_run(tmp_path).checkpoints
    data = data_file(tmp_path / "ckpt-3")
    data.write_bytes(data.read_bytes()[:100_000])
    table = follow(run)
    assert {key for key in table.errors if isinstance(key, tuple)} == {(3, "b")}
    assert_right(table, steps, "a")


def test_a_shape_that_changes_is_no_pair(tmp_path: Path, together: list[str]) -> None:
    steps = walks(a=np.ones(20_000, np.float32), b=np.ones(20_000, np.float32))
    for values in steps[3:]:
        values["a"] = values["a"][:100].copy()
    saved(tmp_path, steps)
    table = follow(find_run(tmp_path).checkpoints)
    assert "ckpt-3:a" not in together
    assert np.isnan(table.series(Series.UPDATE, "a")[3])
    assert table.series(Series.NORM, "a")[3] == pytest.approx(np.linalg.norm(steps[3]["a"]))


def test_what_was_rewritten_since_it_was_listed_is_not_written_beyond(tmp_path: Path) -> None:
    saved(tmp_path, walks(a=np.ones(20_000, np.float32)))
    first, second = (Column(entry) for entry in find_run(tmp_path).checkpoints[:2])
    for column in (first, second):
        listed = column.open_and_list()
        column.points = np.full((len(listed.variables), 9), np.nan)
        column.pairs = np.full((len(listed.variables), 4), np.nan)
    second.before = first
    cancel = CancelToken()
    works = [Work(number, column, (0,)) for number, column in enumerate((first, second))]
    assert measure_together(works[:1], {}, cancel) == [{0}]
    for wrong in (np.zeros(100, np.float32), np.zeros(20_000, np.float16)):
        held = {"a": wrong}
        assert measure_together(works[1:], held, cancel) == [{0}]  # read again, beside it
        assert held["a"].size == 20_000
        assert not wrong.any()
    task = lanes.LaneTask(0, (), True, cancel, lanes.Held(), keeps_open=False)
    for wrong in (np.zeros(100, "f4"), np.zeros(20_001, "f4"), np.zeros(20_000, "f8")):
        with pytest.raises(DamagedFileError, match="length or dtype"):
            lanes._measure_beside(second, 0, first, 0, wrong, task)
    first.points[0, 0] = 100  # it was listed from an earlier file of this name
    assert measure_together(works[1:], {}, cancel) == nothing(works[1:])


def test_loops_refuse_values_of_another_length() -> None:
    loops = update_kernel.compiled_for(1)
    assert loops is not None
    with pytest.raises(ValueError, match="100 values before"):
        loops.add(np.ones(20_000, np.float32), np.zeros(100, np.float32), UpdateSums())


def columns_of(directory: Path) -> list[Column]:
    """The columns of a run, listed, with nothing measured."""
    columns: list[Column] = []
    for entry in find_run(directory).checkpoints:
        column = Column(entry)
        listed = column.open_and_list()
        column.points = np.full((len(listed.variables), 9), np.nan)
        column.pairs = np.full((len(listed.variables), 4), np.nan)
        column.before = columns[-1] if columns else None
        columns.append(column)
    return columns


def works_of(columns: Sequence[Column]) -> list[Work]:
    rows = tuple(range(len(columns[0].listed.variables)))
    return [Work(number, column, rows) for number, column in enumerate(columns)]


def test_what_is_not_held_is_read_first(tmp_path: Path) -> None:
    steps = walks(a=np.ones(70_000, np.float32), b=np.ones(3, np.float32))
    saved(tmp_path, steps)
    columns = columns_of(tmp_path)
    works, cancel = works_of(columns), CancelToken()
    held: dict[str, np.ndarray] = {}
    assert measure_together(works, held, cancel) == [{0, 1}] * STEPS
    pairs = [column.pairs.copy() for column in columns]
    for column in columns[2:]:
        column.pairs[:] = column.points[:] = np.nan
    del held["b"]
    held["a"][:] = steps[1]["a"]
    assert measure_together(works[2:], held, cancel) == [{0, 1}] * (STEPS - 2)
    for column, right in zip(columns[2:], pairs[2:], strict=True):
        np.testing.assert_array_equal(column.pairs, right)
    for key, values in steps[-1].items():
        np.testing.assert_array_equal(held[key], values)


def test_what_did_not_change_is_not_read(tmp_path: Path) -> None:
    steps = walks(a=np.ones(70_000, np.float32), b=np.ones(30_000, np.float32))
    steps[2]["a"] = steps[1]["a"]
    for values in steps[1:]:
        values["b"] = steps[0]["b"]
    saved(tmp_path, steps)
    for step in (1, 2, 3):  # whoever reads "b" there finds it damaged
        data = data_file(tmp_path / f"ckpt-{step}")
        raw = bytearray(data.read_bytes())
        raw[-1] ^= 1
        data.write_bytes(raw)
    columns = columns_of(tmp_path)
    measured = measure_together(works_of(columns), {}, CancelToken())
    assert measured == [{0, 1}] * STEPS
    deltas = np.array([column.pairs[:, 0] for column in columns])
    wanted = [np.linalg.norm(b["a"] - a["a"]) for a, b in pairwise(steps)]
    assert deltas[1:, 0] == pytest.approx(np.array(wanted, np.float64), rel=1e-5)
    assert not deltas[1:, 1].any()
    norm = np.linalg.norm(steps[0]["b"])
    assert [column.points[1, 8] for column in columns] == pytest.approx([norm] * STEPS)


def test_a_save_that_is_left_out_ends_it(tmp_path: Path) -> None:
    steps = walks(a=np.ones(70_000, np.float32))
    saved(tmp_path, steps)
    works = works_of(columns_of(tmp_path))
    measured = measure_together([works[0], works[1], works[3]], {}, CancelToken())
    assert measured == [{0}, {0}, set()]


def test_damage_spoils_what_follows(tmp_path: Path) -> None:
    steps = walks(a=np.ones(70_000, np.float32), b=np.ones(70_000, np.float32))
    saved(tmp_path, steps)
    data = data_file(tmp_path / "ckpt-2")
    raw = bytearray(data.read_bytes())
    raw[300_000] ^= 1  # in "b"
    data.write_bytes(raw)
    held: dict[str, np.ndarray] = {}
    measured = measure_together(works_of(columns_of(tmp_path)), held, CancelToken())
    assert measured == [{0, 1}, {0, 1}, {0}, {0}, {0}]
    assert set(held) == {"a"}
    np.testing.assert_array_equal(held["a"], steps[-1]["a"])


def test_a_file_that_is_rewritten_meanwhile_spoils_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = walks(a=np.ones(70_000, np.float32), b=np.ones(3, np.float32))
    saved(tmp_path, steps)
    columns = columns_of(tmp_path)
    loops = update_kernel.compiled_for(1)
    assert loops is not None
    follow_on = loops.follow

    def and_rewrite(*arguments):  # type: ignore[no-untyped-def]
        found = follow_on(*arguments)
        data_file(tmp_path / "ckpt-1").write_bytes(b"other")
        return found

    monkeypatch.setattr(type(loops), "follow", lambda _, *arguments: and_rewrite(*arguments))
    held: dict[str, np.ndarray] = {}
    assert measure_together(works_of(columns), held, CancelToken()) == [set()] * STEPS
    assert not held
    assert all(np.isnan(column.points).all() for column in columns)


def test_a_save_that_is_deleted_is_left_to_who_can_tell(tmp_path: Path) -> None:
    saved(tmp_path, walks(a=np.ones(70_000, np.float32)))
    columns = columns_of(tmp_path)
    data_file(tmp_path / "ckpt-3").unlink()
    measured = measure_together(works_of(columns), {}, CancelToken())
    assert measured == [{0}, {0}, {0}, set(), set()]


def test_not_more_files_are_opened_than_systems_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = walks(a=np.ones(20_000, np.float32), b=np.ones(20_000, np.float32))
    saved(tmp_path, steps)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (4 * (2 * STEPS - 1), 4096))
    measured = measure_together(works_of(columns_of(tmp_path)), {}, CancelToken())
    assert measured == [set()] * STEPS
    table = follow(find_run(tmp_path).checkpoints)
    for key in steps[0]:
        assert_right(table, steps, key)


def test_it_can_be_cancelled_between_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, walks(a=np.ones(200_000, np.float32)))
    monkeypatch.setattr(update_compiled, "_ASKED_BYTES", 1)
    asked = []

    class Token(CancelToken):
        def raise_if_cancelled(self) -> None:
            asked.append(len(asked))
            if len(asked) == 3:
                self.cancel()
            super().raise_if_cancelled()

    columns = columns_of(tmp_path)
    with pytest.raises(Cancelled):
        measure_together(works_of(columns), {}, Token())
    assert len(asked) == 3
    monkeypatch.undo()
    for column in columns:
        column.release()
    assert not open_below(tmp_path)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero")
def test_scalars_of_other_dtypes(tmp_path: Path, together: list[str]) -> None:
    steps = [
        {
            "step": np.int64(step * 100),
            "rate": np.float64(0.1 / (step + 1)),
            "half": np.float16(step - 2),
            "flag": np.bool_(step % 2),
            "turn": np.complex64(1j * step),
            "odd": np.float64([1.0, np.nan, np.inf, 2.0, 3.0][step]),
        }
        for step in range(STEPS)
    ]
    saved(tmp_path, steps)
    table = follow(find_run(tmp_path).checkpoints)
    assert not table.errors
    assert not together
    for key in steps[0]:
        assert_right(table, steps, key)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody has written to is not zero."""
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, 7, dtype))


@pytest.mark.usefixtures("poisoned")
def test_what_cannot_be_read_before_is_not_made_up(tmp_path: Path) -> None:
    steps = walks(a=RNG.standard_normal((60, 9)).astype(np.float32))
    save_slices(tmp_path / "ckpt-0", cut("a", steps[0]["a"], [20]))
    for step, values in enumerate(steps[1:], 1):
        save(tmp_path / f"ckpt-{step}", values)
    columns = columns_of(tmp_path)
    table = follow(find_run(tmp_path).checkpoints)
    assert_right(table, steps, "a")
    held: dict[str, np.ndarray] = {}
    columns[0].points[0] = [540, 0, 0, 0, 1, 1, 1, 1, 1]
    assert measure_together(works_of(columns)[1:], held, CancelToken()) == [set()] * (STEPS - 1)
    assert not held


@pytest.mark.usefixtures("poisoned")
def test_what_was_deleted_after_it_was_remembered_is_not_made_up(tmp_path: Path) -> None:
    steps = walks(a=np.ones(20_000, np.float32))
    saved(tmp_path, steps)
    with Cache(tmp_path / "cache.sqlite") as cache:
        options = {"cache": cache, "settle_seconds": -1.0}
        entries = find_run(tmp_path).checkpoints
        follow(entries[:2], **options)
        data_file(tmp_path / "ckpt-1").unlink()
        table = follow(entries[:3], **options)
    updates = table.series(Series.UPDATE, "a")
    assert np.isfinite(updates[1])
    assert np.isnan(updates[2])
    assert np.isfinite(table.series(Series.NORM, "a")).all()


def test_a_save_without_variables_is_between(tmp_path: Path) -> None:
    steps = walks(a=np.ones(20_000, np.float32))
    for step, values in enumerate(steps):
        if step == 2:
            save_file({}, tmp_path / "ckpt-2.safetensors")
        else:
            save(tmp_path / f"ckpt-{step}", values)
    table = follow(find_run(tmp_path).checkpoints)
    assert not table.errors
    norms, updates = (table.series(series, "a") for series in (Series.NORM, Series.UPDATE))
    assert np.isfinite(norms).tolist() == [True, True, False, True, True]
    assert np.isfinite(updates).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("ratio", [1e-3, 1e-5, 1e-8, 1e-12])
def test_directions_of_norms_that_are_far_apart(tmp_path: Path, ratio: float) -> None:
    first = RNG.standard_normal(20_000).astype(np.float32)
    other = (0.5 * first + RNG.standard_normal(20_000)).astype(np.float32)
    steps = [{"a": values} for values in (first, (ratio * other).astype(np.float32), other, first)]
    saved(tmp_path, steps)
    cosines = follow(find_run(tmp_path).checkpoints).series(Series.COSINE, "a")
    wanted = [expected(Series.COSINE, b["a"], a["a"]) for a, b in pairwise(steps)]
    assert cosines[1:] == pytest.approx(np.array(wanted), rel=1e-7)


def test_a_share_that_loses_a_file_costs_no_more_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = walks(a=np.ones(20_000, np.float32))
    saved(tmp_path, steps)
    entries = find_run(tmp_path).checkpoints
    stale, status = data_file(tmp_path / "ckpt-3"), os.fstat
    inode = stale.stat().st_ino

    def lost(descriptor: int) -> os.stat_result:
        found = status(descriptor)
        if found.st_ino == inode and stale in read:
            raise OSError(errno.ESTALE, "Stale file handle")
        return found

    read: list[Path] = []
    loops = update_kernel.compiled_for(1)
    follow_on = type(loops).follow

    def noted(*arguments):  # type: ignore[no-untyped-def]
        read.append(stale)
        return follow_on(*arguments)

    monkeypatch.setattr(type(loops), "follow", noted)
    monkeypatch.setattr(os, "fstat", lost)
    table = follow(entries)
    assert list(table.errors) == [(3, "a")]
    assert "Stale file handle" in table.errors[3, "a"].what
    norms = table.series(Series.NORM, "a")
    assert np.isnan(norms).tolist() == [False, False, False, True, False]


def test_a_scalar_that_was_rewritten_as_something_else_is_no_scalar(tmp_path: Path) -> None:
    for step in range(2):
        save(tmp_path / f"ckpt-{step}", {"step": np.int64(step)})
    columns = columns_of(tmp_path)
    for size in (0, 5):
        save(tmp_path / "ckpt-1", {"step": np.arange(size)})
        rewritten = Column(find_run(tmp_path).checkpoints[1])
        rewritten.before, rewritten.listed = columns[0], columns[1].listed
        held = np.array([0])
        assert not lanes._measure_scalar(rewritten, 0, held)
        assert held.tolist() == [0]
