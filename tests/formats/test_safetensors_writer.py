"""safetensors files that we write: those of the reference library, byte for byte."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.tensorflow
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.dtypes import BY_NAME, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError
from ckptviewer.formats import safetensors_writer
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.safetensors_writer import why_unwritable, write_safetensors
from tests.formats.written import read_back, tensor, tensors_of, values_of

WRITABLE = [name for name in BY_NAME if not why_unwritable("a", name, ())]
SHAPES = [(), (3,), (2, 0, 4), (2, 3), (1, 1, 5)]

Arrays = dict[str, tuple[np.ndarray, str]]


def theirs(arrays: Arrays, metadata: dict[str, str] | None = None) -> bytes:
    return safetensors.numpy.save({key: each for key, (each, _) in arrays.items()}, metadata)


def ours(arrays: Arrays, path: Path, metadata: dict[str, str] | None = None) -> bytes:
    assert write_safetensors(str(path), tensors_of(arrays), metadata=metadata or {}) == [str(path)]
    return path.read_bytes()


def test_all_dtypes_that_the_library_has_are_written() -> None:
    refused = set(BY_NAME) - set(WRITABLE)
    for name in refused - {"string", "resource", "variant"}:
        values = {"a": np.zeros(1, numpy_dtype(name))}
        if not name.startswith("q"):
            with pytest.raises(safetensors.SafetensorError):
                safetensors.numpy.save(values)
    assert {"float32", "bfloat16", "float8_e4m3fn", "complex64", "bool"} <= set(WRITABLE)


def test_the_file_is_the_librarys(tmp_path: Path) -> None:
    arrays = {
        f"layer/{dtype}/{number}": (values_of(dtype, shape, number), dtype)
        for dtype in WRITABLE
        for number, shape in enumerate(SHAPES)
    }
    written = ours(arrays, tmp_path / "m.safetensors", {"format": "tf"})
    assert written == theirs(arrays, {"format": "tf"})
    assert read_back(tmp_path / "m.safetensors") == {
        key: (values.tobytes(), dtype, values.shape) for key, (values, dtype) in arrays.items()
    }


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda key: key != "__metadata__"),
        st.tuples(st.sampled_from(WRITABLE), st.sampled_from(SHAPES)),
        max_size=6,
    )
)
def test_any_names(tmp_path_factory: pytest.TempPathFactory, wanted: dict) -> None:
    arrays = {key: (values_of(dtype, shape), dtype) for key, (dtype, shape) in wanted.items()}
    path = tmp_path_factory.mktemp("names") / "m.safetensors"
    assert ours(arrays, path) == theirs(arrays)


def test_tensorflow_loads_it_and_finds_what_it_is(tmp_path: Path) -> None:
    kernel = values_of("float32", (3, 4))
    path = str(tmp_path / "m.safetensors")
    write_safetensors(path, tensors_of({"dense/kernel": (kernel, "float32")}))
    loaded = safetensors.tensorflow.load_file(path)["dense/kernel"]
    assert isinstance(loaded, tf.Tensor)
    assert loaded.numpy().tobytes() == kernel.tobytes()
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "tf"}


def test_stored_bytes_are_taken_as_they_are(tmp_path: Path) -> None:
    values = values_of("float32", (5,))
    stored = Tensor(
        key="a", dtype="float32", shape=(5,), chunks=[memoryview(values.tobytes())], checksum=1
    )
    write_safetensors(str(tmp_path / "m"), [stored], metadata={})
    assert (tmp_path / "m").read_bytes() == theirs({"a": (values, "float32")})


@pytest.mark.parametrize(
    ("key", "dtype", "words"),
    [
        ("a", "string", "no strings"),
        ("a", "variant", "no dtype variant"),
        ("a", "complex128", "no dtype complex128"),
        ("a", "qint8", "no dtype qint8"),
        ("a", "int4", "no dtype int4"),
        ("__metadata__", "float32", "something else"),
        ("\udc80", "float32", "no Unicode"),
    ],
)
def test_what_it_cannot_hold_is_told(key: str, dtype: str, words: str, tmp_path: Path) -> None:
    assert words in why_unwritable(key, dtype, ())
    with pytest.raises(ValueError, match=words):
        write_safetensors(str(tmp_path / "m"), [Tensor(key=key, dtype=dtype, shape=(), chunks=[])])
    assert not (tmp_path / "m").exists()


def test_a_key_twice_and_shards_are_refused(tmp_path: Path) -> None:
    one = tensor("a", np.zeros(2, "f4"), "float32")
    with pytest.raises(ValueError, match="repeated"):
        write_safetensors(str(tmp_path / "m"), [one, one])
    with pytest.raises(UnwritableFileError, match="one file"):
        write_safetensors(str(tmp_path / "m"), [one], shard_bytes=10)


@pytest.mark.parametrize("count", [3, 5])
def test_content_of_the_wrong_size_is_damage(count: int, tmp_path: Path) -> None:
    wrong = Tensor(key="a", dtype="int8", shape=(4,), chunks=[np.zeros(count, "i1")])
    with pytest.raises(DamagedFileError, match="not what its shape needs"):
        write_safetensors(str(tmp_path / "m"), [wrong])


def test_a_header_that_the_library_would_refuse_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_writer, "LARGEST_HEADER_BYTES", 40)
    with pytest.raises(UnwritableFileError, match="header would have"):
        write_safetensors(str(tmp_path / "m"), [tensor("a", np.zeros(2, "f4"), "float32")])
    assert not (tmp_path / "m").exists()


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(UnwritableFileError, match="disk is full"):
        write_safetensors(str(tmp_path / "m"), [tensor("a", np.zeros(2, "f4"), "float32")])


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        for number in range(64):
            yield np.full(1 << 18, number, "f4")

    large = Tensor(key="a", dtype="float32", shape=(64, 1 << 18), chunks=pieces())
    tracemalloc.start()
    try:
        write_safetensors(str(tmp_path / "m"), [large])
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    with safetensors.safe_open(str(tmp_path / "m"), "np") as file:
        assert (file.get_tensor("a")[:, 7] == np.arange(64)).all()
    (tmp_path / "m").unlink()


def test_the_header_is_plain_json_and_content_begins_at_a_multiple_of_eight(tmp_path: Path) -> None:
    for length in range(1, 10):
        path = tmp_path / str(length)
        arrays = {"k" * length: (np.arange(3, dtype="f8"), "float64")}
        data = ours(arrays, path)
        size = int.from_bytes(data[:8], "little")
        assert size % 8 == 0
        assert json.loads(data[8 : 8 + size]).keys() == arrays.keys()
