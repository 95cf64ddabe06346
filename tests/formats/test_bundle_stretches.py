"""What is read of many variables at once is what is read of each."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from crc32c import crc32c

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats import bundle_checkpoint
from ckptviewer.formats.resolve import open_checkpoint
from tests.builders import cut, data_file, merge, save, save_slices

RNG = np.random.default_rng(5)


def stretched(prefix: Path) -> tuple[dict[str, bytes], int]:
    """What the stretches of all variables hold by key, proved right, and how many there are."""
    found: dict[str, bytes] = {}
    count = 0
    with open_checkpoint(prefix) as checkpoint:
        variables = checkpoint.variables
        for stretch in checkpoint.stretches(variables):
            count += 1
            assert stretch.data.size <= CHUNK_BYTES
            rows = zip(*(column.tolist() for column in (*stretch[:1], *stretch[2:])), strict=True)
            for number, start, size, crc in rows:
                variable = variables[number]
                stored = stretch.data[start : start + size].tobytes()
                values = checkpoint.read(variable)
                assert stored == values.tobytes()
                assert crc == crc32c(stored)
                assert (stretch.data.ctypes.data + start) % min(values.itemsize, 8) == 0
                assert variable.key not in found
                found[variable.key] = stored
    return found, count


def test_all_plain_variables_are_in_them(tmp_path: Path) -> None:
    values: dict[str, object] = {
        f"w{number:03}": RNG.standard_normal(number * 7 + 1).astype(np.float32)
        for number in range(200)
    }
    values |= {
        "a byte": np.int8(7),  # what follows does not begin at a multiple of four
        "bools": RNG.random(33) > 0.5,
        "brain": RNG.standard_normal(9).astype(ml_dtypes.bfloat16),
        "complex": np.ones(5, np.complex128),
        "empty": np.empty((0, 4), np.float32),
        "long": np.arange(10),
        "text": [b"one", b"two"],
        "large": np.zeros(CHUNK_BYTES // 4 + 1, np.float32),
        "largest": np.arange(CHUNK_BYTES // 4, dtype=np.float32),
    }
    found, count = stretched(save(tmp_path / "m", values))
    assert set(values) - set(found) == {"empty", "text", "large"}
    assert count < 20


def test_slices_and_other_shards(tmp_path: Path) -> None:
    whole = RNG.standard_normal((60, 9)).astype(np.float32)
    parts = [save(tmp_path / "one", {"a": [1.0], "b": [2.0]}), save(tmp_path / "two", {"c": [3.0]})]
    assert set(stretched(merge(tmp_path / "all", parts))[0]) == {"a", "b", "c"}
    sliced = save_slices(tmp_path / "sliced", [*cut("w", whole, [20]), *cut("v", whole)])
    assert "w" not in stretched(sliced)[0]


def test_far_ones_are_read_by_themselves(tmp_path: Path) -> None:
    gap = np.zeros(1 << 20, np.float32)
    prefix = save(tmp_path / "m", {"a": [1.0], "b": gap, "c": [2.0]})
    with open_checkpoint(prefix) as checkpoint:
        ends = [checkpoint["a"], checkpoint["c"]]
        assert [stretch.data.size for stretch in checkpoint.stretches(ends)] == [4, 4]


def test_missing_and_cut_files(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones(100, np.float32), "b": np.ones(100, np.float32)})
    data = data_file(prefix)
    data.write_bytes(data.read_bytes()[:500])
    with open_checkpoint(prefix) as checkpoint, pytest.raises(CkptviewerError):
        list(checkpoint.stretches(checkpoint.variables))
    data.unlink()
    with open_checkpoint(prefix) as checkpoint, pytest.raises(CkptviewerError):
        list(checkpoint.stretches(checkpoint.variables))


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
        assert list(checkpoint.stretches(checkpoint.variables)) == []


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


def test_what_is_listed_otherwise_is_left_out(tmp_path: Path) -> None:
    prefix = save(tmp_path / "m", {"a": np.ones((2, 3), np.float32), "b": [1.0, 2.0]})
    with open_checkpoint(prefix) as checkpoint:
        a, b = checkpoint.variables
        for other in (a._replace(shape=(3, 2)), a._replace(dtype="int32"), a._replace(shape=(6,))):
            (stretch,) = checkpoint.stretches([other, b])
            assert stretch.numbers.tolist() == [1]
