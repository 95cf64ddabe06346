"""Variables that are measured together are measured as each would be alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.analysis import update_kernel
from ckptviewer.analysis.update_compiled import UpdateSums
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.runs import lanes
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.runs.together import Measured, measure_together
from tests.analysis import kernels
from tests.builders import data_file, save
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

    def noted(column, *rest):  # type: ignore[no-untyped-def]
        measured = measure_together(column, *rest)
        variables = column.listed.variables
        found.extend(f"{column.entry.name}:{variables[row].key}" for row in sorted(measured.done))
        return measured

    monkeypatch.setattr(lanes, "measure_together", noted)
    return found


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
    monkeypatch.setattr(lanes, "measure_together", lambda *_: Measured())
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
    first, second = (lanes.Column(entry) for entry in find_run(tmp_path).checkpoints[:2])
    for column in (first, second):
        listed = column.open_and_list()
        column.points = np.full((len(listed.variables), 9), np.nan)
        column.pairs = np.full((len(listed.variables), 4), np.nan)
    second.before = first
    cancel = CancelToken()
    assert measure_together(first, [0], {}, cancel).done == {0}
    for held in (np.zeros(100, np.float32), np.zeros(20_000, np.float16)):
        before = {"a": held}
        measured = measure_together(second, [0], before, cancel)
        assert measured == Measured()
        assert not before["a"].any()
    task = lanes.LaneTask(0, (), True, cancel, lanes.Held(), keeps_open=False)
    for size in (100, 20_001):
        with pytest.raises(DamagedFileError, match="length"):
            lanes._measure_beside(second, 0, first, 0, np.zeros(size, np.float32), task)
    assert measure_together(second, [0], {"a": np.zeros(20_000, np.float32)}, cancel).done == {0}


def test_loops_refuse_values_of_another_length() -> None:
    loops = update_kernel.compiled_for(1)
    assert loops is not None
    with pytest.raises(ValueError, match="100 values before"):
        loops.add(np.ones(20_000, np.float32), np.zeros(100, np.float32), UpdateSums())
