"""Series of variables over steps, against NumPy in float64; and what is not read twice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ckptviewer.analysis import update_kernel
from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats import bundle_checkpoint, tf_bundle
from ckptviewer.runs import lanes, timeline, timeline_cache
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.measuring import UNIT_ELEMENTS, Measuring
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline import Timeline
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.storage.cache import Cache
from tests.analysis import kernels
from tests.builders import cut, save, save_slices

RNG = np.random.default_rng(8)
Values = dict[str, np.ndarray]


def walk(start: np.ndarray, step: float) -> list[np.ndarray]:
    """Values of four steps, each a little further."""
    found = [start]
    for _ in range(3):
        found.append((found[-1] + step * RNG.standard_normal(start.shape)).astype(start.dtype))
    return found


def _steps() -> list[Values]:
    normal = RNG.standard_normal
    columns: dict[str, list[np.ndarray]] = {
        "dense/kernel": walk(normal((300, 700)).astype(np.float32), 1e-3),
        "dense/bias": walk(np.zeros(7, np.float32), 0.1),
        "norm/gamma": walk((1 + 1e-4 * normal(40000)).astype(np.float32), 1e-6),
        "far": walk(1e9 + normal(5000), 1e-3),
        "tiny/v": walk((1e-22 * normal(9000) ** 2).astype(np.float32), 1e-24),
        "huge": walk((1e30 * normal(9000)).astype(np.float32), 1e28),
        "half": walk(normal(5000).astype(np.float16), 0.1),
        "brain": walk(normal(5000).astype(ml_dtypes.bfloat16), 0.5),
        "complex": walk((normal(500) + 1j * normal(500)).astype(np.complex64), 0.1),
        "counter": [np.array(10 * step) for step in range(4)],
        "flags": [RNG.random(50) > 0.5 for _ in range(4)],
        "frozen": [np.arange(100, dtype=np.float32)] * 4,
        "zeros": [np.zeros(100, np.float32)] * 4,
        "broken": [
            np.array(v, np.float32)
            for v in ([1, 2, 3, 0], [1, np.nan, 3, 0], [np.inf, 2, 4, 0], [np.nan] * 4)
        ],
        "empty": [np.empty((0, 3), np.float32)] * 4,
    }
    return [{key: values[step] for key, values in columns.items()} for step in range(4)]


STEPS = _steps()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Sequence[CheckpointEntry]:
    directory = tmp_path_factory.mktemp("run")
    for step, values in enumerate(STEPS):
        save(directory / f"ckpt-{step}", {**values, "name": np.array([b"text"])})
    return find_run(directory).checkpoints


def follow(entries: Sequence[CheckpointEntry], **options: object) -> TimelineTable:
    table = TimelineTable(entries)
    with ThreadPoolExecutor(2) as executor:
        for event in Timeline(entries, **options).run(executor):
            table.take(event)
    return table


def assert_same(one: TimelineTable, other: TimelineTable) -> None:
    """To the last bit."""
    for series in Series:
        assert np.array_equal(one.matrix(series), other.matrix(series), equal_nan=True)


def expected(series: Series, values: np.ndarray, before: np.ndarray | None) -> float:
    """What a script in float64 finds; NaN where there is nothing to say."""
    wide = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64).reshape(-1)
    if series in (Series.UPDATE, Series.COSINE):
        if before is None:
            return np.nan
        earlier = before.astype(wide.dtype).reshape(-1)
        both = np.isfinite(wide) & np.isfinite(earlier)
        wide, earlier = wide[both], earlier[both]
        lengths = np.linalg.norm(wide), np.linalg.norm(earlier)
        delta = np.linalg.norm(wide - earlier)
        if series is Series.UPDATE:
            return 0.0 if delta == 0 else delta / lengths[1]
        product = np.vdot(earlier, wide).real
        return product / (lengths[0] * lengths[1]) if all(lengths) else np.nan
    if series is Series.NAN:
        return float(np.isnan(wide).sum())
    if series is Series.SPARSITY:
        return float((wide == 0).mean()) if wide.size else np.nan
    finite = np.abs(wide) if wide.dtype.kind == "c" else wide
    finite = finite[np.isfinite(finite)]
    if series is Series.NORM:
        return float(np.linalg.norm(finite))
    return float(getattr(np, series.value)(finite)) if finite.size else np.nan


@pytest.fixture(params=["numpy", "compiled"])
def _loops(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    kernels.use(request.param, monkeypatch, pytestconfig, update_kernel)


@pytest.mark.usefixtures("_loops")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero")
@pytest.mark.parametrize("series", list(Series))
def test_series_are_those_of_numpy(run: Sequence[CheckpointEntry], series: Series) -> None:
    table = follow(run)
    assert not table.errors
    assert [variable.key for variable in table.variables] == sorted(STEPS[0])
    matrix = table.matrix(series)
    for row, variable in enumerate(table.variables):
        for step, values in enumerate(STEPS):
            key = variable.key
            before = STEPS[step - 1][key] if step else None
            wanted = expected(series, values[key], before)
            scale = expected(Series.STD, values[key], None) if series is Series.MEAN else 0.0
            near = pytest.approx(wanted, rel=1e-6, abs=1e-8 * scale, nan_ok=True)
            assert matrix[row, step] == near, (key, step)


def test_group_is_one_vector(run: Sequence[CheckpointEntry]) -> None:
    table = follow(run)
    keys = ["dense/bias", "dense/kernel", "norm/gamma", "frozen"]
    joined = [np.concatenate([values[key].reshape(-1) for key in keys]) for values in STEPS]
    for series in Series:
        found = table.together(series, keys)
        for step, values in enumerate(joined):
            wanted = expected(series, values, joined[step - 1] if step else None)
            assert found[step] == pytest.approx(wanted, rel=1e-5, nan_ok=True), series


def test_large_variables_are_streamed(
    run: Sequence[CheckpointEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = follow(run)
    monkeypatch.setattr(lanes, "WHOLE_BYTES", 100)
    streamed = follow(run)
    assert_same(whole, streamed)


def test_shared_out_among_workers(
    run: Sequence[CheckpointEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = follow(run)
    monkeypatch.setattr(timeline, "SHARED_BYTES", 0)
    shared = follow(run)
    assert_same(alone, shared)


def test_partitioned_variables(tmp_path: Path) -> None:
    tables = [RNG.standard_normal((60, 9)).astype(np.float32) for _ in range(3)]
    save_slices(tmp_path / "m-1", cut("w", tables[0], [20, 45]))
    save_slices(tmp_path / "m-2", cut("w", tables[1], [10], [4]))
    save(tmp_path / "m-3", {"w": tables[2]})
    table = follow(find_run(tmp_path).checkpoints)
    for series in Series:
        for step, values in enumerate(tables):
            wanted = expected(series, values, tables[step - 1] if step else None)
            near = pytest.approx(wanted, rel=1e-5, nan_ok=True)
            assert table.series(series, "w")[step] == near, series


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files and keys whose values are read."""
    found: list[str] = []
    for name in ("read", "chunks"):
        real = getattr(bundle_checkpoint.BundleCheckpoint, name)

        def noted(self, variable, *rest, real=real):  # type: ignore[no-untyped-def]
            found.append(f"{os.path.basename(self.path)}:{variable.key}")
            return real(self, variable, *rest)

        monkeypatch.setattr(bundle_checkpoint.BundleCheckpoint, name, noted)
    return found


def test_what_did_not_change_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    count = 20  # more than are open at a time
    for step in range(count):
        values = {"still": np.ones(50, np.float32), "moving": np.full(50, step, np.float32)}
        save(tmp_path / f"ckpt-{step}", values)
    table = follow(find_run(tmp_path).checkpoints)
    assert [each for each in reads if each.endswith("still")] == ["ckpt-0:still"]
    assert set(reads) >= {f"ckpt-{step}:moving" for step in range(count)}
    assert table.series(Series.UPDATE, "still")[1:].tolist() == [0.0] * (count - 1)
    assert table.series(Series.NORM, "still").tolist() == [pytest.approx(50**0.5)] * count
    steps = np.arange(2, count)
    assert table.series(Series.UPDATE, "moving")[2:] == pytest.approx(1 / (steps - 1))


def test_what_was_measured_is_remembered(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(step: int) -> None:
        save(tmp_path / f"ckpt-{step}", {"w": np.full((2, 3), step + 1, np.float32)})

    for step in range(3):
        add(step)
    with Cache(tmp_path / "cache.sqlite") as cache:
        options = {"cache": cache, "settle_seconds": -1.0}
        first = follow(find_run(tmp_path).checkpoints, **options)
        assert reads
        reads.clear()
        with monkeypatch.context() as patched:  # the second time nothing is opened
            patched.setattr(tf_bundle.TensorBundleFormat, "open", None)
            second = follow(find_run(tmp_path).checkpoints, **options)
        assert not reads
        assert second.variables == first.variables
        assert_same(first, second)
        add(3)
        third = follow(find_run(tmp_path).checkpoints, **options)
        assert set(reads) == {"ckpt-2:w", "ckpt-3:w"}
        assert third.series(Series.UPDATE, "w")[3] == pytest.approx(1 / 3)
        reads.clear()
        add(1)  # replaced in place
        fourth = follow(find_run(tmp_path).checkpoints, **options)
        assert {each.split(":")[0] for each in reads} == {"ckpt-0", "ckpt-1", "ckpt-2"}
        assert not fourth.errors


@pytest.mark.parametrize("few_bytes", [0, 1 << 20], ids=["deflated", "stored"])
@pytest.mark.parametrize("most_bytes", [0, 1 << 20], ids=["one by one", "together"])
def test_variables_of_several_kinds_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_bytes: int, most_bytes: int
) -> None:
    monkeypatch.setattr(timeline_cache, "_FEW_BYTES", few_bytes)
    monkeypatch.setattr(timeline_cache, "_MOST_LOOKED_UP_BYTES", most_bytes)
    for step in range(6):  # two networks that are trained by turns
        values = {"g/w": [step + 1.0], "g/b": [1.0]} if step % 2 else {"d/w": [[step + 2.0]]}
        save(tmp_path / f"ckpt-{step}", values)
    entries = find_run(tmp_path).checkpoints
    with Cache(tmp_path / "cache.sqlite") as cache:
        first = follow(entries, cache=cache, settle_seconds=-1.0)
    with Cache(tmp_path / "cache.sqlite") as cache, monkeypatch.context() as patched:
        patched.setattr(tf_bundle.TensorBundleFormat, "open", None)
        second = follow(entries, cache=cache, settle_seconds=-1.0)
    assert not second.errors
    assert [variable.key for variable in second.variables] == ["d/w", "g/b", "g/w"]
    assert second.variables == first.variables
    assert_same(first, second)


def test_rows_wait_for_more_as_long_as_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(3):
        save(tmp_path / f"ckpt-{step}", {"w": [step + 1.0]})
    entries = find_run(tmp_path).checkpoints
    variables = (Variable(key="w", name="w", dtype="float32", shape=(1,), stored_bytes=4),)
    listed = timeline_cache.Listed.of(variables, np.array([7]))
    points = np.ones((1, timeline_cache.POINT_FIELDS))

    def kept() -> list[bool]:
        with Cache(tmp_path / "cache.sqlite") as other:
            store = timeline_cache.TimelineCache(other)
            return [store.get(entry, None)[0] is not None for entry in entries]

    with Cache(tmp_path / "cache.sqlite") as cache:
        store = timeline_cache.TimelineCache(cache, -1.0, hold_seconds=1e9)
        store.keep(entries[0], None, listed, points, None)
        store.keep(entries[1], None, listed, points, None)
        assert kept() == [False] * 3
        store.flush()
        assert kept() == [True, True, False]
        monkeypatch.setattr(timeline_cache, "_MOST_HELD_BYTES", 10)  # but not more of them
        store.keep(entries[2], None, listed, points, None)
        assert kept() == [True] * 3
        store.flush()


def test_what_is_between_is_no_neighbour(tmp_path: Path) -> None:
    for step in range(8):
        save(tmp_path / f"ckpt-{step}", {"w": np.full(6, 2.0**step, np.float32)})
    with Cache(tmp_path / "cache.sqlite") as cache:
        options = {"cache": cache, "settle_seconds": -1.0}
        follow(find_run(tmp_path).checkpoints, **options)
        for step in (2, 6):  # written anew; those between are known, and not read
            save(tmp_path / f"ckpt-{step}", {"w": np.full(6, 3.0 * 2.0**step, np.float32)})
        table = follow(find_run(tmp_path).checkpoints, **options)
    updates = [5.0, 1 / 3, 1.0, 1.0, 5.0, 1 / 3]
    assert table.series(Series.UPDATE, "w")[2:] == pytest.approx(updates)


@pytest.mark.usefixtures("_loops")
def test_how_values_are_cut_does_not_matter() -> None:
    # Numbers of its own: a mean that happened to be next to zero would have no digits to compare.
    own = np.random.default_rng(5)
    values, before = own.standard_normal((2, 5 * UNIT_ELEMENTS + 77)).astype(np.float32)
    values[3 * UNIT_ELEMENTS + 5] = np.inf
    found = []
    for units in (1, 2, 6):
        measuring, held = Measuring(), before.copy()
        for start in range(0, values.size, units * UNIT_ELEMENTS):
            part = slice(start, start + units * UNIT_ELEMENTS)
            measuring.add(values[part], held[part], replace=True)
        assert np.array_equal(held, values)
        found.append(measuring.point())
    wide = values[np.isfinite(values)].astype(np.float64)
    for point in found:
        assert point[:6] == (values.size, 0, 1, 0, wide.min(), wide.max())
        assert point[6:] == pytest.approx((wide.mean(), wide.std(), np.linalg.norm(wide)), rel=1e-6)


def test_only_what_has_settled_is_remembered(tmp_path: Path, reads: list[str]) -> None:
    save(tmp_path / "ckpt-1", {"w": [1.0]})
    with Cache(tmp_path / "cache.sqlite") as cache:
        for _ in range(2):
            follow(find_run(tmp_path).checkpoints, cache=cache, settle_seconds=1e9)
    assert reads == ["ckpt-1:w"] * 2


def test_choice_of_variables_is_filled_up_later(tmp_path: Path, reads: list[str]) -> None:
    for step in (1, 2):
        values = {key: np.full(4, step, np.float32) for key in ("a", "b")}
        save(tmp_path / f"ckpt-{step}", values)
    entries = find_run(tmp_path).checkpoints
    with Cache(tmp_path / "cache.sqlite") as cache:
        options = {"cache": cache, "settle_seconds": -1.0}
        only = follow(entries, choose=lambda vs: [v for v in vs if v.key == "a"], **options)
        assert [variable.key for variable in only.variables] == ["a"]
        assert {each[-1] for each in reads} == {"a"}
        reads.clear()
        both = follow(entries, **options)
        assert {each[-1] for each in reads} == {"b"}
        assert np.array_equal(
            both.series(Series.UPDATE, "a"), both.series(Series.UPDATE, "b"), equal_nan=True
        )


def test_variables_come_go_and_change_shape(tmp_path: Path) -> None:
    shapes: list[Mapping[str, int]] = [{"a": 3, "b": 3}, {"a": 3, "b": 4}, {"a": 3, "c": 2}]
    for step, each in enumerate(shapes):
        values = {key: np.full(size, step + 1.0, np.float32) for key, size in each.items()}
        save(tmp_path / f"ckpt-{step}", values)
    table = follow(find_run(tmp_path).checkpoints)
    assert [v.key for v in table.variables] == ["a", "b", "c"]
    known = ~np.isnan(table.matrix(Series.NORM))
    assert known.tolist() == [[True] * 3, [True, True, False], [False, False, True]]
    known = ~np.isnan(table.matrix(Series.UPDATE))
    assert known.tolist() == [[False, True, True], [False] * 3, [False] * 3]
    assert table.has("b", 1)
    assert not table.has("b", 2)


def test_damaged_checkpoints_leave_gaps(tmp_path: Path) -> None:
    for step in range(5):
        save(tmp_path / f"ckpt-{step}", {"a": np.ones(9, np.float32), "b": [float(step)]})
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    raw = bytearray(data.read_bytes())
    raw[3] ^= 1
    data.write_bytes(raw)
    os.truncate(tmp_path / "ckpt-3.index", 20)
    table = follow(find_run(tmp_path).checkpoints)
    assert set(table.errors) == {3}  # what is damaged in ckpt-1 was not read: nothing changed
    norms = table.matrix(Series.NORM)
    assert np.isnan(norms[:, 3]).all()
    assert norms[1].tolist()[:3] == [0.0, 1.0, 2.0]
    assert table.series(Series.UPDATE, "b")[4] == pytest.approx(1.0)  # beside ckpt-2


def test_values_that_do_not_match_their_checksum(tmp_path: Path) -> None:
    for step in range(3):
        save(tmp_path / f"ckpt-{step}", {"a": np.full(9, step + 1.0, np.float32)})
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    raw = bytearray(data.read_bytes())
    raw[3] ^= 1
    data.write_bytes(raw)
    table = follow(find_run(tmp_path).checkpoints)
    assert list(table.errors) == [(1, "a")]
    assert table.series(Series.NORM, "a").tolist() == [3.0, pytest.approx(np.nan, nan_ok=True), 9.0]
    assert np.isnan(table.series(Series.UPDATE, "a")).all()


def test_cancelling(run: Sequence[CheckpointEntry]) -> None:
    cancel = CancelToken()
    with ThreadPoolExecutor(2) as executor:
        events = Timeline(run, cancel=cancel).run(executor)
        next(events)
        cancel.cancel()
        with pytest.raises(Cancelled):
            list(events)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files")
@pytest.mark.parametrize("taken", [1, 5, 8, 1000])
def test_no_file_is_held_in_the_end(run: Sequence[CheckpointEntry], taken: int) -> None:
    timeline = Timeline(run)
    with ThreadPoolExecutor(2) as executor:
        events = timeline.run(executor)
        kept = [event for event, _ in zip(events, range(taken), strict=False)]
        columns = list(timeline._columns.values())
        events.close()
    targets = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert not [each for each in targets if os.path.dirname(run[0].path) in each]
    assert kept
    assert columns or taken != 5  # there were such as were not complete


def test_progress_comes_to_its_end(run: Sequence[CheckpointEntry]) -> None:
    timeline = Timeline(run)
    with ThreadPoolExecutor(2) as executor:
        assert timeline.progress.fraction == 0.0
        for _ in timeline.run(executor):
            assert timeline.progress.fraction <= 1.0
    assert timeline.progress.done == timeline.progress.total == len(STEPS) * len(STEPS[0])
