"""Exports that are refused, cancelled, killed: the target is whole or absent, and none is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import (
    Cancelled,
    ChangedFileError,
    CkptviewerError,
    DamagedFileError,
    TargetExistsError,
    UnwritableFileError,
)
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.export.execute import check_destination, execute
from ckptviewer.export.plan import ExportPlan
from ckptviewer.export.receipt import Receipt
from ckptviewer.export.rescue import plan_rescue, rescue
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from ckptviewer.storage.atomic import PARTIAL_SUFFIX
from tests import builders
from tests.builders import Bundle

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="this way of refusing is that of POSIX")


def tensors(seed: int, count: int = 6, size: int = 1000) -> dict[str | bytes, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = {f"layer_{n}/kernel": rng.normal(size=size).astype(np.float32) for n in range(count)}
    return {**values, "names": np.array([b"a", b"bc" * seed])}


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A bundle outside of the target's directory; `other` has other values."""
    return builders.save(tmp_path / "one", tensors(1))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return builders.save(tmp_path / "other", tensors(2))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A prefix in a directory of its own."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target" / "model"


def opened(prefix: Path) -> BundleCheckpoint:
    return TensorBundleFormat().open(Path(f"{prefix}.index"))


def export(source: Path, target: Path, **options: Any) -> Receipt:
    with opened(source) as checkpoint:
        options = {"overwrite": True, "shard_bytes": 9000, **options}
        return execute(plan_rescue(checkpoint), checkpoint, target, **options)


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def assert_holds(prefix: Path, source: Path) -> None:
    found, wanted = builders.values_in(prefix), builders.values_in(source)
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_array_equal(found[key], values, strict=True)


# Refused system calls


@contextmanager
def refused(monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> Iterator[list[int]]:
    """Have call number `at` of `os.<name>` fail for lack of space; a write writes half before."""
    real: Callable[..., Any] = getattr(os, name)
    calls = [0]

    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] - 1 == at:
            if name == "write":
                real(arguments[0], bytes(arguments[1][: len(arguments[1]) // 2]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, call)
        yield calls


@pytest.mark.parametrize("name", ["write", "fsync", "rename", "link", "mkdir"])
def test_a_full_disk_at_every_call_leaves_nothing(
    name: str, one: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(100):
        with refused(monkeypatch, name, at) as calls:
            try:
                export(one, target, overwrite=False)
            except UnwritableFileError as error:
                message = str(error)
                assert "disk is full" in message
                if "in place" not in message:
                    assert names_in(target.parent) == set()
                    continue
                assert name == "fsync"  # the last, of the directory
        assert_holds(target, one)
        if calls[0] <= at:
            break
        for path in target.parent.iterdir():
            path.unlink()
    assert 1 <= at < 99
    assert not any(path.endswith(PARTIAL_SUFFIX) for path in names_in(target.parent))


@pytest.mark.parametrize("name", ["write", "fsync", "rename", "link", "replace", "mkdir"])
def test_a_full_disk_at_every_call_keeps_the_old_one(
    name: str, one: Path, other: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(one, target)
    before = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    for at in range(100):
        with refused(monkeypatch, name, at) as calls:
            try:
                export(other, target)
            except UnwritableFileError as error:
                if "in place" not in str(error):
                    after = {path.name: path.read_bytes() for path in target.parent.iterdir()}
                    assert after == before
                    continue
                assert name == "fsync"
        assert_holds(target, other)
        if calls[0] <= at:
            break
        for path in target.parent.iterdir():
            path.unlink()
        for file, content in before.items():
            (target.parent / file).write_bytes(content)
    assert 1 <= at < 99


def test_a_disk_without_room_is_seen_before_anything_is_written(
    one: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=100))
    with pytest.raises(UnwritableFileError, match="100 B are free"):
        export(one, target)
    assert names_in(target.parent) == set()


_SMALL_DISK = """
mount -t tmpfs -o size=128k none "$2" && cp "$3".* "$2" && cd "$4" && "$1" -c "
import shutil, sys
from ckptviewer.cli.main import run
sys.argv[1] == 'told' or setattr(
    shutil, 'disk_usage', lambda path: type('usage', (), {'free': 1 << 40}))
sys.exit(run(['rescue', sys.argv[2], sys.argv[3], '--overwrite']))
" "$5" "$6" "$2/other"
status=$?; cmp "$3.index" "$2/other.index" && ls -A "$2"; exit $status
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no mounts of one's own here")
@pytest.mark.parametrize("how", ["told", "only by failing"])
def test_a_disk_that_is_really_full(how: str, tmp_path: Path, target: Path, other: Path) -> None:
    large = builders.save(tmp_path / "large", tensors(1, count=40))
    directory = target.parent
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(directory)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no mounts of one's own here")
    arguments = [sys.executable, directory, other, ROOT, how, large]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", _SMALL_DISK, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert ("are free" if how == "told" else "the disk is full") in done.stderr
    assert done.stdout.split() == [
        builders.data_file(other).name,
        builders.index_file(other).name,
    ]


@POSIX
def test_a_directory_without_permission() -> None:
    # Not where pytest puts files: there nobody else may look.
    outer = Path(tempfile.mkdtemp(dir="/tmp"))
    locked = outer / "locked"
    try:
        outer.chmod(0o755)
        locked.mkdir(0o555)
        with opened(builders.save(outer / "one", tensors(1))) as checkpoint:
            plan = plan_rescue(checkpoint)
            with _without_power(), pytest.raises(UnwritableFileError, match="Permission denied"):
                execute(plan, checkpoint, locked / "model")
        assert names_in(locked) == set()
    finally:
        shutil.rmtree(outer)


@contextmanager
def _without_power() -> Iterator[None]:
    """As somebody to whom permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# Killed


def run_killing(one: Path, other: Path, target: Path, mode: str, count: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.export.killing", one, other, target, mode, str(count), "5"],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_next_run_tidies_up(one: Path, other: Path, target: Path, there: str) -> None:
    """TensorFlow reads what is there, and an export that is left in peace leaves only its own."""
    assert_holds(target, {"one": one, "other": other}[there])
    export(one, target)
    assert_holds(target, one)
    bundle = Bundle.of(target)
    assert names_in(target.parent) == {
        builders.index_file(target).name,
        *(
            builders.data_file(target, n, len(bundle.shards)).name
            for n in range(len(bundle.shards))
        ),
    }


@POSIX
def test_killed_before_every_system_call(one: Path, other: Path, target: Path) -> None:
    result = run_killing(one, other, target, "steps", 400)
    assert result["deaths"] > 20
    assert result["old"] > 20
    assert result["new"] > 1  # after the commit, old files were still to be removed
    assert_next_run_tidies_up(one, other, target, result["there"])


@POSIX
@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_time(count: int, tmp_path: Path, target: Path) -> None:
    one, other = (
        builders.save(tmp_path / f"large{seed}", tensors(seed, count=20, size=100_000))
        for seed in (1, 2)
    )
    result = run_killing(one, other, target, "times", count)
    assert result["old"] + result["new"] == count
    assert result["deaths"] > count // 4
    assert_next_run_tidies_up(one, other, target, result["there"])


# A source that changes, a user who cancels


def at_first_write(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    real, done = os.write, [False]

    def write(*arguments: Any) -> int:
        if not done[0]:
            done[0] = True
            do()
        return real(*arguments)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("how", ["truncated", "rewritten", "damaged"])
def test_a_source_that_changes_midway(
    how: str, one: Path, other: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(other, target)
    data = builders.data_file(one)

    def change() -> None:
        if how == "truncated":
            os.truncate(data, 4100)
        elif how == "rewritten":
            os.utime(data, (1, 1))
        else:  # as by a disk that fails: nothing tells but the checksum
            status = data.stat()
            with open(data, "r+b") as file:
                file.seek(20_000)
                file.write(b"\xaa\xbb")
            os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))

    at_first_write(monkeypatch, change)
    kind = DamagedFileError if how == "damaged" else ChangedFileError
    with pytest.raises(kind) as caught:
        export(one, target)
    assert caught.value.where in (str(data), "layer_4/kernel", "layer_5/kernel")
    assert_holds(target, other)
    assert not any(name.endswith(PARTIAL_SUFFIX) for name in names_in(target.parent))


def test_cancelled_at_any_moment(one: Path, other: Path, target: Path) -> None:
    export(other, target)
    before = names_in(target.parent)
    for moment in range(100):
        cancel, seen = CancelToken(), []

        def report(
            progress: Progress, cancel: CancelToken = cancel, moment: int = moment, seen: Any = seen
        ) -> None:
            seen.append(progress)
            if len(seen) > moment:
                cancel.cancel()

        try:
            export(one, target, cancel=cancel, report=report)
        except Cancelled:
            assert names_in(target.parent) == before
            assert_source_is_there(target, other)
        else:
            break
    assert moment > 10
    assert_holds(target, one)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1, abs=0.01)
    assert {progress.label.split()[0] for progress in seen} == {"Writing", "Verifying"}


def assert_source_is_there(target: Path, source: Path) -> None:
    with opened(target) as found, opened(source) as wanted:
        sums = ({v.key: c.checksum(v) for v in c.variables} for c in (found, wanted))
        assert next(sums) == next(sums)


def test_what_does_not_read_back_is_not_put_in_place(
    one: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk, or memory, that alters what is written."""
    real, calls = os.write, [0]

    def write(handle: int, data: memoryview) -> int:
        calls[0] += 1
        altered = bytearray(data)
        if calls[0] == 3:
            altered[len(altered) // 2] ^= 4
        return real(handle, bytes(altered))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(UnwritableFileError, match="does not read back"):
        export(one, target)
    assert names_in(target.parent) == set()


# Where it is written


def test_never_onto_the_source(one: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    (tmp_path / "link.index").symlink_to(builders.index_file(one))
    (tmp_path / "linked").symlink_to(tmp_path)
    with opened(one) as source:
        for prefix in (one, f"{one}.index", tmp_path / "link", tmp_path / "linked" / "one"):
            with pytest.raises(UnwritableFileError, match="never written"):
                rescue(source, prefix, overwrite=True)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content


def test_an_existing_target_is_asked_for(one: Path, other: Path, target: Path) -> None:
    export(other, target)
    with pytest.raises(TargetExistsError, match="--overwrite"):
        export(one, target, overwrite=False)
    assert_holds(target, other)
    builders.index_file(target).unlink()  # data alone is somebody's, too
    with pytest.raises(TargetExistsError):
        export(one, target, overwrite=False)


def test_replacing_one_again_and_again_leaves_one(one: Path, other: Path, target: Path) -> None:
    for source in (one, other, one, other):
        receipt = export(source, target, shard_bytes=None)
        assert_holds(target, source)
        files = [path for path in target.parent.iterdir() if path.name.startswith("model")]
        assert receipt.bytes_after == sum(path.stat().st_size for path in files)
    assert len([name for name in names_in(target.parent) if ".data-" in name]) <= 2


@pytest.mark.parametrize("where", ["", "target", "target/", "none/model"])
def test_a_name_in_a_directory_is_needed(where: str, one: Path, target: Path) -> None:
    with opened(one) as source, pytest.raises(CkptviewerError):
        check_destination(source, os.path.join(target.parents[1], where), overwrite=True)


def test_the_plan_is_what_is_written(one: Path, target: Path) -> None:
    with opened(one) as source:
        plan = plan_rescue(source)
        part = ExportPlan(
            source=plan.source,
            format=plan.format,
            kept=plan.kept[1:3],
            dropped=(),
            bytes_before=plan.bytes_before,
        )
        receipt = execute(part, source, f"{target}.index")
    assert receipt.kept == part.kept
    assert set(builders.values_in(target)) == {each.key_written for each in part.kept}
    assert receipt.destination == str(target)
