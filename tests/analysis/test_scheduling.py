"""Schedules: the order of the work, its pieces, what fails alone, and how soon it stops."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.analysis import backlog, scheduling, statistics
from ckptviewer.analysis.remembered import encode
from ckptviewer.analysis.scheduling import Origin, Schedule, Task, perform
from ckptviewer.analysis.statistics import Statistics, statistics_of
from ckptviewer.checkpoint.errors import (
    Cancelled,
    ChangedFileError,
    CkptviewerError,
    DamagedFileError,
)
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.formats.resolve import open_checkpoint
from tests.analysis.at_once import AtOnce
from tests.analysis.memory_checkpoint import MemoryCheckpoint

RNG = np.random.default_rng(5)


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def arrays(*sizes: int) -> dict[str, np.ndarray]:
    return {f"v{size}": RNG.normal(size=size).astype(np.float32) for size in sizes}


def test_each_variable_gets_what_it_gets_alone(threads: Executor) -> None:
    checkpoint = MemoryCheckpoint(arrays(1, 5, 0, 300, 70_000, 2_000_000))
    found = dict(Schedule(checkpoint, checkpoint.variables).run(threads, 2))
    assert found.keys() == checkpoint.by_key.keys()
    for key, result in found.items():
        assert isinstance(result, Statistics)
        assert encode(result) == encode(statistics_of(checkpoint, checkpoint[key]))


def test_the_largest_come_first() -> None:
    checkpoint = MemoryCheckpoint(arrays(10, 3_000_000, 2_000_000, 20, 1_500_000))
    executor = AtOnce()
    schedule = Schedule(checkpoint, checkpoint.variables)
    keys = [key for key, _ in schedule.run(executor, 1)]
    assert [task.keys for task in executor.tasks] == [
        ("v3000000",),
        ("v2000000",),
        ("v1500000",),
        ("v20", "v10"),
    ]
    assert sorted(keys) == sorted(checkpoint.by_key)
    assert schedule.progress.fraction == 1


def test_what_is_preferred_comes_before_the_largest() -> None:
    checkpoint = MemoryCheckpoint(arrays(*range(1, 700), 3_000_000, 2_500_000, 2_000_000))
    executor = AtOnce()
    schedule = Schedule(checkpoint, checkpoint.variables)
    schedule.prefer(["v2", "v600", "v9", "not there"])
    running = schedule.run(executor, 1)
    assert [next(running)[0] for _ in range(3)] == ["v2", "v600", "v9"]
    schedule.prefer(["v5"])
    rest = [key for key, _ in running]
    assert rest.index("v5") < rest.index("v2000000")
    assert len(rest) == len(set(rest)) == 699


def test_many_small_ones_share_a_task() -> None:
    checkpoint = MemoryCheckpoint({f"v{number}": np.ones(3) for number in range(5000)})
    executor = AtOnce()
    found = dict(Schedule(checkpoint, checkpoint.variables).run(executor))
    assert len(found) == 5000
    assert len(executor.tasks) <= 20


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "PART_ELEMENTS", 100_000)
    monkeypatch.setattr(scheduling, "PART_ELEMENTS", 100_000)


@pytest.mark.usefixtures("small_parts")
def test_a_large_one_is_split_and_put_together_to_the_last_bit(threads: Executor) -> None:
    checkpoint = MemoryCheckpoint(
        {"large": RNG.normal(size=(7, 90_000)), "v": np.ones(9)}, checksums={"large": 1}
    )
    found = dict(Schedule(checkpoint, checkpoint.variables).run(threads))
    assert isinstance(found["large"], Statistics)
    assert encode(found["large"]) == encode(statistics_of(checkpoint, checkpoint["large"]))


@pytest.mark.usefixtures("small_parts")
def test_a_split_one_is_read_whole_for_its_checksum_alone_where_it_has_one() -> None:
    for checksums, extra in (({}, 0), ({"large": 1}, 1)):
        checkpoint = MemoryCheckpoint({"large": np.ones((5, 100_000))}, checksums=checksums)
        executor = AtOnce()
        list(Schedule(checkpoint, checkpoint.variables).run(executor))
        assert [task.verify for task in executor.tasks].count(True) == extra
        assert len(executor.tasks) == 5 + extra


def test_what_is_damaged_fails_alone(threads: Executor) -> None:
    damaged = {
        "b": DamagedFileError("it is cut short", where="b"),
        "c": ZeroDivisionError("a fault of the reader"),
    }
    values = {key: np.ones(4) for key in "abcd"}
    checkpoint = MemoryCheckpoint(values, damaged=damaged)
    found = dict(Schedule(checkpoint, checkpoint.variables).run(threads))
    assert found["b"] is damaged["b"]
    assert isinstance(found["c"], CkptviewerError)
    assert "a fault of the reader" in str(found["c"])
    assert isinstance(found["a"], Statistics)
    assert isinstance(found["d"], Statistics)


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_large_one_fails_once(threads: Executor) -> None:
    error = DamagedFileError("it is cut short", where="large")
    values = {"large": np.ones((9, 100_000)), "a": np.ones(4)}
    checkpoint = MemoryCheckpoint(values, damaged={"large": error}, checksums={"large": 1})
    schedule = Schedule(checkpoint, checkpoint.variables)
    found = list(schedule.run(threads))
    assert sorted(key for key, _ in found) == ["a", "large"]
    assert dict(found)["large"] is error
    assert schedule.progress.fraction == 1


class Slow(MemoryCheckpoint):
    """Hands out large variables number by number, which takes a minute or more."""

    def __init__(self, *keys: str) -> None:
        large = np.broadcast_to(np.float32(1), (1 << 24,))
        super().__init__(dict.fromkeys(keys, large))

    def chunks(self, variable: Any, chunk_bytes: int = 0) -> Iterator[np.ndarray]:
        for _ in range(variable.element_count):
            yield np.ones(1, np.float32)


def test_cancelling_is_noticed_at_once_and_the_workers_become_free() -> None:
    checkpoint = Slow("a", "b", "c")
    token = CancelToken()
    with ThreadPoolExecutor(2) as executor:
        schedule = Schedule(checkpoint, checkpoint.variables, cancel=token)
        threading.Timer(0.05, token.cancel).start()
        with pytest.raises(Cancelled):
            list(schedule.run(executor, 2))
        noticed = time.monotonic()
        executor.shutdown(wait=True)
        assert time.monotonic() - noticed < 5  # the work alone would take far longer


def test_closing_the_generator_stops_the_work_but_not_its_owner() -> None:
    token = CancelToken()
    checkpoint = Slow("a")
    checkpoint_of_one = MemoryCheckpoint(arrays(300_000))
    with ThreadPoolExecutor(2) as executor:
        running = Schedule(checkpoint_of_one, checkpoint_of_one.variables, cancel=token).run(
            executor
        )
        next(running)
        running.close()
        assert not token.cancelled
        other = Schedule(checkpoint, checkpoint.variables, cancel=token).run(executor)
        threading.Timer(0.02, token.cancel).start()
        with pytest.raises(Cancelled):
            next(other)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.builders import save

    values = {f"v{number}": np.full(number + 1, number, np.float32) for number in range(40)}
    values["large"] = RNG.normal(size=(500, 1000)).astype(np.float32)
    return save(tmp_path_factory.mktemp("bundle") / "model", values)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        yield executor


def test_processes_open_the_checkpoint_by_its_path(bundle: Path, processes: Executor) -> None:
    with open_checkpoint(bundle) as checkpoint:
        schedule = Schedule(checkpoint, checkpoint.variables, origin=Origin.of(checkpoint))
        found = dict(schedule.run(processes, 1))
        assert found.keys() == checkpoint.by_key.keys()
        for key, result in found.items():
            assert isinstance(result, Statistics), result
            alone = statistics_of(checkpoint, checkpoint[key])
            assert (result.min, result.max, result.count) == (alone.min, alone.max, alone.count)
            assert result.std == pytest.approx(alone.std, rel=1e-12)


def test_a_file_that_changed_meanwhile_is_an_error_and_no_number(
    bundle: Path, tmp_path: Path, processes: Executor
) -> None:
    for file in bundle.parent.glob("model.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with open_checkpoint(tmp_path / "model") as checkpoint:
        origin = Origin.of(checkpoint)
        data = tmp_path / "model.data-00000-of-00001"
        os.utime(data, ns=(1, 1))
        found = dict(Schedule(checkpoint, checkpoint.variables, origin=origin).run(processes, 1))
    assert {type(result) for result in found.values()} == {ChangedFileError}


def test_a_flag_cancels_a_task_in_another_process(tmp_path: Path, bundle: Path) -> None:
    with open_checkpoint(bundle) as checkpoint:
        origin = Origin.of(checkpoint)
    task = Task(source=origin, keys=("large",), flag=str(tmp_path / "flag"))
    assert len(perform(task)) == 1
    (tmp_path / "flag").touch()
    with pytest.raises(Cancelled):
        perform(task)


def test_nothing_is_left_behind(
    bundle: Path, tmp_path: Path, processes: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog.tempfile, "tempdir", str(tmp_path))
    with open_checkpoint(bundle) as checkpoint:
        origin = Origin.of(checkpoint)
        for all_of_it in (True, False):
            running = Schedule(checkpoint, checkpoint.variables, origin=origin).run(processes, 1)
            next(running)
            if all_of_it:
                list(running)
            running.close()
            processes.submit(os.getpid).result()  # whatever was under way has ended before this
    assert list(tmp_path.iterdir()) == []


class Dying(AtOnce):
    """A pool whose worker is gone."""

    def submit(self, work: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        if len(self.tasks) > 1:
            raise BrokenProcessPool("the pool is no more")
        self.tasks.append(arguments[0])
        future: Future[Any] = Future()
        future.set_exception(BrokenProcessPool("a worker was killed"))
        return future


def test_a_dead_worker_is_told_for_each_variable_it_had() -> None:
    checkpoint = MemoryCheckpoint(arrays(3_000_000, 2_000_000, 1_200_000, 5))
    found = dict(Schedule(checkpoint, checkpoint.variables).run(Dying()))
    assert found.keys() == checkpoint.by_key.keys()
    assert all("worker" in str(result) for result in found.values())
