"""What every format must keep: one suite, inherited by the tests of each.

A subclass names its format and gives a fixture `sample` (see `Sample`), usually with one parameter
a builder. The oracle's values come with the sample; nothing here knows a format.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import (
    ChangedFileError,
    CkptviewerError,
    OpaqueVariableError,
    UnknownVariableError,
)
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.registry import Confidence, Format
from tests.open_files import open_below


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A saved state, and what an independent reader says is in it.

    directory: holds all its files and nothing else, so that a copy of it is a copy of the sample.
    path: what a person would open, inside the directory; it need not be a file (a prefix).
    values: by key, as the oracle reads them; strings as object arrays of bytes.
    unread: keys that are listed and that the oracle gives no value for (metadata, opaque dtypes).
    in_slices: keys whose chunks come slice by slice, in any order.
    data_files: names (relative to the directory) of files in which values lie.
    """

    directory: Path
    path: Path
    values: Mapping[str, np.ndarray]
    unread: frozenset[str] = frozenset()
    in_slices: frozenset[str] = frozenset()
    data_files: tuple[str, ...] = field(default=())

    def copied_to(self, directory: Path) -> Sample:
        """The same sample in another place, to be damaged there."""
        shutil.copytree(self.directory, directory)
        return Sample(
            directory=directory,
            path=directory / self.path.relative_to(self.directory),
            values=self.values,
            unread=self.unread,
            in_slices=self.in_slices,
            data_files=self.data_files,
        )


def copied_from_corpus(
    corpus: Path,
    folder: str,
    into: Path,
    *,
    path: str,
    values: Callable[[Path], Mapping[str, np.ndarray]],
    data_files: tuple[str, ...],
) -> Sample:
    """A sample that is a folder of the corpus; `values` is the oracle, given the path in `into`."""
    shutil.copytree(corpus / folder, into, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for each in (into, *into.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return Sample(
        directory=into, path=into / path, values=values(into / path), data_files=data_files
    )


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal in dtype, shape and every byte: NaNs and signs of zero count."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def regions_of(shape: tuple[int, ...]) -> Iterator[Region]:
    """Regions worth trying: all, prefixes of the axes, corners, middles, clipped, empty."""
    yield ()
    some = [
        (slice(0, 1), slice(size // 3, size // 3 + max(1, size // 2)), slice(size - 1, size + 7))
        for size in shape
    ]
    yield from product(*some[:3])
    for axis, size in enumerate(shape[:4]):
        whole = (slice(None),) * axis
        yield (*whole, slice(0, size // 2))
        yield (*whole, slice(size // 2, None))
        yield (*whole, slice(-2, None))
        yield (*whole, slice(2, 1))
        yield (*whole, slice(size, size + 3))


class FormatContract:
    """Inherit this, set `format_`, and give a class-scoped fixture `sample`."""

    format_: Format

    @pytest.fixture
    def sample(self) -> Sample:
        raise NotImplementedError

    @pytest.fixture
    def checkpoint(self, sample: Sample) -> Iterator[Checkpoint]:
        with self.open(sample) as opened:
            yield opened

    @pytest.fixture
    def copy(self, sample: Sample, tmp_path: Path) -> Sample:
        """A copy of the sample that a test may damage."""
        return sample.copied_to(tmp_path / "copy")

    def open(self, sample: Sample) -> Checkpoint:
        match = self.format_.probe(sample.path)
        assert match.confidence is not Confidence.NO, match.reason
        return self.format_.open(match.path)

    # Recognising

    def test_is_certain_of_its_own_files(self, sample: Sample) -> None:
        match = self.format_.probe(sample.path)
        assert match.confidence is Confidence.CERTAIN
        assert match.reason
        assert not match.missing_library

    def test_opens_what_its_match_names_from_there_too(self, sample: Sample) -> None:
        first = self.format_.probe(sample.path)
        again = self.format_.probe(first.path)
        assert again.confidence is Confidence.CERTAIN
        assert again.path == first.path

    def test_denies_what_is_not_its_own_without_raising(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        (tmp_path / "text").write_text("not a checkpoint\n" * 100)
        (tmp_path / "noise").write_bytes(np.random.default_rng(1).bytes(5000))
        (tmp_path / "zeros").write_bytes(bytes(5000))
        (tmp_path / "directory").mkdir()
        os.mkfifo(tmp_path / "pipe")
        for name in ("empty", "text", "noise", "zeros", "directory", "pipe", "missing", "a/b"):
            assert self.format_.probe(tmp_path / name).confidence is Confidence.NO, name

    # Listing

    def test_lists_every_key_once_in_natural_order(
        self, sample: Sample, checkpoint: Checkpoint
    ) -> None:
        keys = [variable.key for variable in checkpoint.variables]
        assert set(keys) == sample.values.keys() | sample.unread
        assert len(keys) == len(set(keys))
        assert keys == natural_sorted(keys, key=str)

    def test_lists_dtypes_and_shapes(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key, expected in sample.values.items():
            variable = checkpoint[key]
            assert variable.shape == expected.shape
            assert numpy_dtype(variable.dtype) == expected.dtype
            assert variable.stored_bytes > 0 or expected.size == 0

    def test_tells_its_format_and_path(self, sample: Sample, checkpoint: Checkpoint) -> None:
        assert checkpoint.format_name == self.format_.name
        assert Path(checkpoint.path).is_relative_to(sample.directory)
        assert self.format_.title

    def test_finds_nothing_wrong_with_a_sound_file(self, checkpoint: Checkpoint) -> None:
        assert [each for each in checkpoint.findings if each.severity == "error"] == []

    def test_slots_belong_to_variables_that_exist(self, checkpoint: Checkpoint) -> None:
        for variable in checkpoint.variables:
            assert variable.slot_of is None or variable.slot_of in checkpoint.by_key

    def test_details_are_texts(self, checkpoint: Checkpoint) -> None:
        for variable in checkpoint.variables:
            for label, text in checkpoint.details(variable).items():
                assert isinstance(label, str)
                assert isinstance(text, str)

    def test_facts_are_texts(self, checkpoint: Checkpoint) -> None:
        for label, text in checkpoint.facts.items():
            assert isinstance(label, str)
            assert isinstance(text, str)

    # Reading

    def test_reads_what_the_oracle_reads(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key, expected in sample.values.items():
            assert_same(checkpoint.read(checkpoint[key]), expected)

    def test_gives_arrays_of_their_own(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key, expected in sample.values.items():
            first = checkpoint.read(checkpoint[key])
            assert first.flags.writeable
            if first.dtype == object:
                first[...] = b"overwritten"
            else:
                first.reshape(-1).view(np.uint8)[...] = 1
            assert_same(checkpoint.read(checkpoint[key]), expected)

    def test_regions_are_slices_of_the_whole(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key, expected in sample.values.items():
            for region in regions_of(expected.shape):
                # `...` keeps NumPy from turning a scalar's selection into a bare element.
                assert_same(checkpoint.read(checkpoint[key], region), expected[(*region, ...)])

    @pytest.mark.parametrize("chunk_bytes", [1, 24, 1000, 4 << 20])
    def test_chunks_are_the_values_in_order(
        self, sample: Sample, checkpoint: Checkpoint, chunk_bytes: int
    ) -> None:
        for key, expected in sample.values.items():
            if expected.nbytes // chunk_bytes > 5000:
                continue
            pieces = [piece.copy() for piece in checkpoint.chunks(checkpoint[key], chunk_bytes)]
            assert all(piece.ndim == 1 and piece.size for piece in pieces)
            if not expected.size:
                assert pieces == []
                continue
            if expected.dtype != object:
                assert all(
                    piece.nbytes <= max(chunk_bytes, expected.dtype.itemsize) for piece in pieces
                )
            joined, flat = np.concatenate(pieces), expected.reshape(-1)
            if key in sample.in_slices:
                joined, flat = np.sort(joined), np.sort(flat)
            assert_same(joined, flat)

    def test_variables_without_values_say_so(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key in sample.unread:
            variable = checkpoint[key]
            if kind_of(variable.dtype) is Kind.OPAQUE:
                with pytest.raises(OpaqueVariableError):
                    checkpoint.read(variable)
                with pytest.raises(OpaqueVariableError):
                    list(checkpoint.chunks(variable))

    def test_unknown_keys_are_refused(self, checkpoint: Checkpoint) -> None:
        with pytest.raises(UnknownVariableError):
            checkpoint["no/such/key"]
        stranger = Variable("no/such/key", "stranger", "float32", (2,), 8)
        with pytest.raises(UnknownVariableError):
            checkpoint.read(stranger)
        with pytest.raises(UnknownVariableError):
            list(checkpoint.chunks(stranger))

    def test_equal_checksums_mean_equal_values(
        self, sample: Sample, checkpoint: Checkpoint
    ) -> None:
        seen: dict[object, np.ndarray] = {}
        for key, expected in sample.values.items():
            variable = checkpoint[key]
            checksum = checkpoint.checksum(variable)
            if checksum is not None:
                mark = (checksum, variable.dtype, variable.shape)
                assert_same(seen.setdefault(mark, expected), expected)

    def test_four_threads_read_at_once(self, sample: Sample, checkpoint: Checkpoint) -> None:
        def check(key: str) -> None:
            expected = sample.values[key]
            assert_same(checkpoint.read(checkpoint[key]), expected)
            total = sum(piece.size for piece in checkpoint.chunks(checkpoint[key], 64 << 10))
            assert total == expected.size

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(check, list(sample.values) * 4))

    # Handles

    def test_reads_again_after_release(self, sample: Sample, checkpoint: Checkpoint) -> None:
        for key, expected in list(sample.values.items())[:5]:
            assert_same(checkpoint.read(checkpoint[key]), expected)
            checkpoint.release()
            checkpoint.release()
            assert_same(checkpoint.read(checkpoint[key]), expected)

    def test_closes_twice(self, sample: Sample) -> None:
        checkpoint = self.open(sample)
        checkpoint.close()
        checkpoint.close()

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
    def test_keeps_no_handle_when_closed(self, sample: Sample) -> None:
        before = len(open_below(sample.directory))
        with self.open(sample) as checkpoint:
            for key in sample.values:
                checkpoint.read(checkpoint[key])
        assert len(open_below(sample.directory)) == before == 0

    def test_notices_files_that_were_replaced(self, copy: Sample) -> None:
        self._check_change(copy, lambda file: file.write_bytes(file.read_bytes()[::-1] + b"more"))

    def test_notices_files_that_were_deleted(self, copy: Sample) -> None:
        self._check_change(copy, Path.unlink)

    def _check_change(self, copy: Sample, change: Callable[[Path], object]) -> None:
        keys = [key for key, value in copy.values.items() if value.size]
        with self.open(copy) as checkpoint:
            for key in keys:
                checkpoint.read(checkpoint[key])
            checkpoint.release()
            for name in copy.data_files:
                change(copy.directory / name)
            for key in keys:
                with pytest.raises(ChangedFileError):
                    checkpoint.read(checkpoint[key])
                with pytest.raises(ChangedFileError):
                    list(checkpoint.chunks(checkpoint[key]))

    # Damage and trust

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.99])
    def test_truncation_is_told_and_the_rest_is_saved(self, copy: Sample, share: float) -> None:
        for name in copy.data_files:
            file = copy.directory / name
            os.truncate(file, min(int(file.stat().st_size * share), file.stat().st_size - 1))
        try:
            checkpoint = self.open_damaged(copy)
        except CkptviewerError as error:
            assert error.what  # noqa: PT017
            return
        with checkpoint:
            lost = []
            for variable in checkpoint.variables:
                if variable.key not in copy.values:
                    continue
                try:
                    values = checkpoint.read(variable)
                except CkptviewerError:
                    lost.append(variable.key)
                else:
                    assert_same(values, copy.values[variable.key])
            told = [each for each in checkpoint.findings if each.severity == "error"]
            assert told
            assert all(each.message and each.remedy for each in told)
            named = {each.variable for each in told}
            assert None in named or named >= set(lost)

    def open_damaged(self, sample: Sample) -> Checkpoint:
        """Open a file that may be damaged beyond what `probe` recognises."""
        return self.format_.open(self.format_.probe(sample.path).path)

    def test_never_writes(self, copy: Sample) -> None:
        before = _state_of(copy.directory)
        with self.open(copy) as checkpoint:
            for key in copy.values:
                checkpoint.read(checkpoint[key])
                list(checkpoint.chunks(checkpoint[key]))
        assert _state_of(copy.directory) == before

    def test_never_imports_tensorflow(self, sample: Sample) -> None:
        module, name = type(self.format_).__module__, type(self.format_).__name__
        script = (
            f"import sys; from pathlib import Path; from {module} import {name}\n"
            f"match = {name}().probe(Path(sys.argv[1]))\n"
            f"with {name}().open(match.path) as checkpoint:\n"
            "    for key in sys.argv[2:]: checkpoint.read(checkpoint[key])\n"
            "wrong = {'tensorflow', 'keras', 'tf_keras', 'h5py', 'safetensors', 'PySide6'}\n"
            "sys.exit(', '.join(wrong & sys.modules.keys()) or None)\n"
        )
        command = [sys.executable, "-c", script, str(sample.path), *sample.values]
        subprocess.run(command, check=True, timeout=60, env=os.environ | {"PYTHONPATH": _ROOT})


_ROOT = str(Path(__file__).parents[2])


def _state_of(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file): (file.read_bytes() if file.is_file() else b"", file.stat().st_mtime_ns)
        for file in (directory, *directory.rglob("*"))
    }
