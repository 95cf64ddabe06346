"""Where values are said to lie in data files, there they are."""

from __future__ import annotations

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from crc32c import crc32c

from ckptviewer.checkpoint.errors import ChangedFileError, CkptviewerError, TruncatedFileError
from ckptviewer.formats import bundle_checkpoint
from ckptviewer.formats.resolve import open_checkpoint
from tests.builders import cut, data_file, merge, save, save_slices

RNG = np.random.default_rng(5)


def found_at(prefix: Path) -> dict[str, bytes]:
    """What lies at the places of all variables, by key, proved right."""
    found: dict[str, bytes] = {}
    with open_checkpoint(prefix) as checkpoint:
        places = checkpoint.places(checkpoint.variables)
        assert places is not None
        rows = zip(*(column.tolist() for column in places), strict=True)
        for variable, (file, offset, size, crc) in zip(checkpoint.variables, rows, strict=True):
            if file < 0:
                continue
            with checkpoint.lent(file, offset + size) as descriptor:
                stored = os.pread(descriptor, size, offset)
            assert stored == checkpoint.read(variable).tobytes()
            assert crc == crc32c(stored)
            found[variable.key] = stored
    return found


def test_all_plain_variables_have_one(tmp_path: Path) -> None:
    values: dict[str, object] = {
        f"w{number:03}": RNG.standard_normal(number * 7 + 1).astype(np.float32)
        for number in range(200)
    }
    values |= {
        "a byte": np.int8(7),
        "bools": RNG.random(33) > 0.5,
        "brain": RNG.standard_normal(9).astype(ml_dtypes.bfloat16),
        "complex": np.ones(5, np.complex128),
        "empty": np.empty((0, 4), np.float32),
        "long": np.arange(10),
        "text": [b"one", b"two"],
        "large": RNG.standard_normal(2_000_000).astype(np.float32),
    }
    assert set(values) - set(found_at(save(tmp_path / "m", values))) == {"empty", "text"}


def test_slices_and_other_shards(tmp_path: Path) -> None:
    whole = RNG.standard_normal((60, 9)).astype(np.float32)
    parts = [save(tmp_path / "one", {"a": [1.0], "b": [2.0]}), save(tmp_path / "two", {"c": [3.0]})]
    assert set(found_at(merge(tmp_path / "all", parts))) == {"a", "b", "c"}
    sliced = save_slices(tmp_path / "sliced", [*cut("w", whole, [20]), *cut("v", whole)])
    assert "w" not in found_at(sliced)


def test_a_missing_data_file_is_not_lent(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones(100, np.float32)})
    with open_checkpoint(prefix) as checkpoint:
        checkpoint.release()
        data_file(prefix).unlink()
        with pytest.raises(CkptviewerError), checkpoint.lent(0, 400):
            pytest.fail("it was lent")


def test_a_file_that_is_too_short_is_not_lent(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones(100, np.float32)})
    with open_checkpoint(prefix) as checkpoint:
        size = data_file(prefix).stat().st_size
        with checkpoint.lent(0, size):
            pass
        with pytest.raises(TruncatedFileError), checkpoint.lent(0, size + 1):
            pytest.fail("it was lent")


def test_what_is_rewritten_while_it_is_lent_counts_for_nothing(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones(100, np.float32)})
    with open_checkpoint(prefix) as checkpoint:
        loan = checkpoint.lent(0, 400)
        os.pread(loan.__enter__(), 400, 0)
        data_file(prefix).write_bytes(b"\0" * 100)
        with pytest.raises(ChangedFileError):
            loan.__exit__(None, None, None)


def test_a_lent_file_stays_open_when_it_is_released(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones(100, np.float32)})
    with open_checkpoint(prefix) as checkpoint:
        with checkpoint.lent(0, 400) as descriptor:
            checkpoint.release()
            assert len(os.pread(descriptor, 400, 0)) == 400
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)


def test_big_endian_bundles_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = save(tmp_path / "m", {"a": [1.0]})
    with open_checkpoint(prefix) as checkpoint:
        assert isinstance(checkpoint, bundle_checkpoint.BundleCheckpoint)
        contents = checkpoint._contents
        turned = contents.header._replace(big_endian=True)
        monkeypatch.setattr(
            checkpoint,
            "_contents",
            bundle_checkpoint.BundleContents(
                prefix=contents.prefix,
                header=turned,
                entries=contents.entries,
                slices=contents.slices,
            ),
        )
        assert checkpoint.places(checkpoint.variables) is None


def test_order_of_the_file_is_known(tmp_path: Path) -> None:
    numbers = (3, 20, 100, 1)
    prefix = save(tmp_path / "m", {f"w{number}": np.ones(number, np.float32) for number in numbers})
    with open_checkpoint(prefix) as checkpoint:
        assert [variable.key for variable in checkpoint.variables] == ["w1", "w3", "w20", "w100"]
        ordered = checkpoint.as_stored(checkpoint.variables)
        assert {each.key for each in ordered} == {f"w{number}" for number in numbers}
        places = [int(checkpoint.details(each)["Offset"].split()[0]) for each in ordered]
        assert places == sorted(places)
        assert places[0] == 0


def test_what_is_listed_otherwise_has_none(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones((2, 3), np.float32), "b": [1.0, 2.0]})
    with open_checkpoint(prefix) as checkpoint:
        a, b = checkpoint.variables
        others = (
            a._replace(shape=(3, 2)),
            a._replace(dtype="int32"),
            a._replace(shape=(6,)),
            a._replace(key="c"),
        )
        for other in others:
            places = checkpoint.places([other, b])
            assert places is not None
            assert places.files.tolist() == [-1, 0]


def test_checksums_of_many_are_those_of_each(tmp_path: Path) -> None:
    whole = RNG.standard_normal((60, 9)).astype(np.float32)
    plain = save(tmp_path / "plain", {"a": [1.0], "b": [2.0], "c": [b"text"]})
    sliced = save_slices(tmp_path / "sliced", [*cut("w", whole, [20]), *cut("v", whole)])
    for prefix in (plain, sliced):
        with open_checkpoint(prefix) as checkpoint:
            variables = checkpoint.variables
            found = list(checkpoint.checksums(variables))
            assert found == [checkpoint.checksum(variable) for variable in variables]
            assert (None in found) == (prefix is sliced)
