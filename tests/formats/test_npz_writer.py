"""`.npz` archives that we write, read by NumPy, and compared byte for byte with its own."""

from __future__ import annotations

import errno
import os
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.dtypes import BY_NAME, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError
from ckptviewer.formats import npz_writer
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.npy_header import field_of
from ckptviewer.formats.npz_writer import why_unwritable, write_npz
from ckptviewer.formats.resolve import open_checkpoint
from tests.formats.written import read_back, tensor, tensors_of, values_of

WRITABLE = [name for name in BY_NAME if not why_unwritable("a", name, ())]
DENSE = [name for name in WRITABLE if name != "string"]
PLAIN = [name for name in DENSE if not field_of(name)]
NAMED = [name for name in DENSE if field_of(name)]
SHAPES = [(), (3,), (2, 0, 4), (2, 3), (1, 1, 5)]


def test_all_but_opaque_dtypes_are_written() -> None:
    assert set(BY_NAME) - set(WRITABLE) == {"resource", "variant"}
    assert len(NAMED) == 16
    for name in PLAIN:
        assert np.dtype(numpy_dtype(name).str) == numpy_dtype(name)  # NumPy's code tells it


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_the_archive_is_numpys(compressed: bool, tmp_path: Path) -> None:
    arrays = {
        f"layer/{dtype}/{number}": (values_of(dtype, shape, number), dtype)
        for dtype in PLAIN
        for number, shape in enumerate(SHAPES)
    }
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "theirs.npz", **{key: each for key, (each, _) in arrays.items()})
    path = tmp_path / "ours.npz"
    written = write_npz(str(path), tensors_of(arrays), compressed=compressed)
    assert written == [str(path)]
    if not compressed:  # streamed in pieces, deflated bytes may be cut otherwise
        assert path.read_bytes() == (tmp_path / "theirs.npz").read_bytes()
    with np.load(path, allow_pickle=False) as loaded:
        for key, (values, _) in arrays.items():
            assert loaded[key].dtype == values.dtype
            assert loaded[key].shape == values.shape
            assert loaded[key].tobytes() == values.tobytes()
    assert read_back(path) == {
        key: (values.tobytes(), dtype, values.shape) for key, (values, dtype) in arrays.items()
    }


@pytest.mark.parametrize("dtype", NAMED)
def test_dtypes_that_numpy_does_not_know_bear_their_names(dtype: str, tmp_path: Path) -> None:
    arrays = {str(shape): (values_of(dtype, shape), dtype) for shape in SHAPES}
    path = tmp_path / "m.npz"
    write_npz(str(path), tensors_of(arrays))
    with np.load(path, allow_pickle=False) as loaded:
        for key, (values, _) in arrays.items():
            assert loaded[key].dtype.names == (dtype,)
            if values.size:
                again = loaded[key].view(values.dtype)
                assert again.shape == values.shape
                assert again.tobytes() == values.tobytes()
        np.savez(tmp_path / "again.npz", **loaded)
    expected = {key: (each.tobytes(), dtype, each.shape) for key, (each, _) in arrays.items()}
    assert read_back(path) == expected
    assert read_back(tmp_path / "again.npz") == expected  # the names survive NumPy


def test_a_bfloat16_is_read_in_regions_and_chunks(tmp_path: Path) -> None:
    values = np.arange(60).reshape(3, 4, 5).astype(ml_dtypes.bfloat16)
    path = tmp_path / "m.npz"
    write_npz(str(path), [tensor("a", values, "bfloat16")], compressed=True)
    with open_checkpoint(str(path)) as checkpoint:
        variable = checkpoint["a"]
        assert (checkpoint.read(variable, (slice(1, 3), slice(2, 3))) == values[1:3, 2:3]).all()
        pieces = [piece.copy() for piece in checkpoint.chunks(variable, 16)]
    assert len(pieces) > 3
    assert (np.concatenate(pieces) == values.reshape(-1)).all()


@pytest.mark.parametrize(
    "descr",
    [
        [("bfloat16", "|V4")],  # not its width
        [("bfloat16", "<f2")],
        [("float32", "|V4")],
        [("string", "|V4")],
        [("nonsense", "|V2")],
        [("bfloat16", "|V2"), ("b", "|V2")],
    ],
    ids=str,
)
def test_other_records_stay_records(descr: list, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=np.zeros(3, descr))
    with open_checkpoint(str(tmp_path / "m.npz")) as checkpoint:
        assert checkpoint["a"].dtype == "structured"


def test_strings_are_as_wide_as_the_longest(tmp_path: Path) -> None:
    strings = np.array([[b"a", b"", b"\0\xff c"], [b"long " * 3, b"x", b"y"]], object)
    none = np.zeros((0, 2), object)
    path = tmp_path / "m.npz"
    write_npz(str(path), [tensor("s", strings, "string", pieces=3), tensor("none", none, "string")])
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded["s"].dtype == "S15"
        assert loaded["s"].tolist() == strings.tolist()
        assert loaded["none"].shape == (0, 2)
    assert read_back(path)["s"] == (strings.tolist(), "string", (2, 3))


def test_strings_that_numpy_would_change_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = np.array([b"fine", b"ends so\0"], object)
    with pytest.raises(UnwritableFileError, match="ends with a zero byte") as caught:
        write_npz(str(tmp_path / "a.npz"), [tensor("s", ends, "string")])
    assert caught.value.where == "s"
    monkeypatch.setattr(npz_writer, "_FREE_PADDING_BYTES", 100)
    uneven = np.array([b"", b"x" * 40, *[b""] * 9], object)
    with pytest.raises(UnwritableFileError, match="differ so in length"):
        write_npz(str(tmp_path / "b.npz"), [tensor("s", uneven, "string")])


@pytest.mark.parametrize(
    ("key", "dtype", "shape", "words"),
    [
        ("a", "variant", (), "nothing to hold"),
        ("", "int8", (), "empty"),
        ("a\0b", "int8", (), "zero byte"),
        ("\udc80", "int8", (), "no Unicode"),
        ("a" * 65_532, "int8", (), "longer"),
        ("a", "int8", (1,) * 65, "65 axes"),
    ],
)
def test_what_it_cannot_hold_is_told(
    key: str, dtype: str, shape: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    assert words in why_unwritable(key, dtype, shape)
    with pytest.raises(ValueError, match=words):
        write_npz(str(tmp_path / "m"), [Tensor(key=key, dtype=dtype, shape=shape, chunks=[])])


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(-128, 127), max_size=5))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, int]) -> None:
    wanted = {key: n for key, n in numbers.items() if not why_unwritable(key, "int8", ())}
    path = tmp_path_factory.mktemp("names") / "m.npz"
    write_npz(
        str(path), tensors_of({k: (np.int8(n).reshape(()), "int8") for k, n in wanted.items()})
    )
    with np.load(path, allow_pickle=False) as loaded:
        assert {key: int(loaded[key]) for key in loaded.files} == wanted
    assert {key: each[0] for key, each in read_back(path).items()} == {
        key: np.int8(n).tobytes() for key, n in wanted.items()
    }


def test_a_key_twice_and_shards_are_refused(tmp_path: Path) -> None:
    one = tensor("a", np.zeros(2, "f4"), "float32")
    with pytest.raises(ValueError, match="repeated"):
        write_npz(str(tmp_path / "m"), [one, tensor("a", np.zeros(2, "f4"), "float32")])
    with pytest.raises(UnwritableFileError, match="one file"):
        write_npz(str(tmp_path / "m"), [one], shard_bytes=10)


def test_content_of_the_wrong_size_is_damage(tmp_path: Path) -> None:
    wrong = Tensor(key="a", dtype="int8", shape=(4,), chunks=[np.zeros(5, "i1")])
    with pytest.raises(DamagedFileError, match="not what its shape needs"):
        write_npz(str(tmp_path / "m"), [wrong])


def test_a_disk_that_fills_is_told_wherever_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.write, 0

    def write(handle: int, data: memoryview) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    monkeypatch.setattr(os, "write", write)
    for number in range(100):
        left = number
        path = tmp_path / f"{number}.npz"
        try:
            write_npz(str(path), [tensor(key, np.ones(3, "f4"), "float32") for key in "ab"])
        except UnwritableFileError as error:
            assert error.what == "the disk is full"  # noqa: PT017 - some number must succeed
        else:
            break
    assert 8 < number < 100
    assert zipfile.ZipFile(path).testzip() is None


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        for number in range(64):
            yield np.full(1 << 18, number, "f4")

    large = Tensor(key="a", dtype="float32", shape=(64, 1 << 18), chunks=pieces())
    tracemalloc.start()
    try:
        write_npz(str(tmp_path / "m.npz"), [large])
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    with np.load(tmp_path / "m.npz") as loaded:
        assert (loaded["a"][:, 7] == np.arange(64)).all()
    (tmp_path / "m.npz").unlink()
