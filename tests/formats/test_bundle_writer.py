"""Bundles that we write, read by TensorFlow, and compared byte for byte with those it writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    DamagedFileError,
    UnreadableFileError,
    UnwritableFileError,
)
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint
from ckptviewer.formats.bundle_writer import Tensor, data_files, why_unwritable, write_bundle
from ckptviewer.formats.sstable_writer import table_parts
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from tests import builders
from tests.builders import SAVABLE, Bundle

SHAPES = [(3, 4), (), (0, 4), (1,)]


def opened(prefix: Path) -> BundleCheckpoint:
    return TensorBundleFormat().open(Path(f"{prefix}.index"))


def copies(source: Checkpoint) -> Iterator[Tensor]:
    """All that a bundle holds, as stored bytes."""
    for variable in source.variables:
        chunks = source.stored_chunks(variable)
        assert chunks is not None
        yield Tensor(
            key=variable.key,
            dtype=variable.dtype,
            shape=variable.shape,
            chunks=chunks,
            checksum=source.checksum(variable),
        )


def valued(key: str, values: np.ndarray, dtype: str) -> Tensor:
    """A tensor of values, in two pieces."""
    flat = values.reshape(-1)
    half = flat.size // 2
    pieces = [flat[:half], flat[half:]]
    return Tensor(key=key, dtype=dtype, shape=values.shape, chunks=pieces)


def files_of(prefix: Path) -> dict[str, bytes]:
    """The bytes of a bundle's files by what follows the prefix."""
    names = prefix.parent.glob(f"{prefix.name}.*")
    return {path.name.removeprefix(prefix.name): path.read_bytes() for path in names}


# What TensorFlow writes


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("number", SAVABLE, ids=lambda number: tf.as_dtype(number).name)
def test_copies_are_the_files_that_tensorflow_wrote(
    number: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    if tf.as_dtype(number) == tf.variant:
        lists = [builders.sample_values(number)] * 3
        value = {(3, 4): tf.stack(lists), (): lists[0]}.get(shape)
        if value is None:
            pytest.skip("two shapes of variants are enough")
    else:
        value = builders.sample_values(number, shape)
    prefix = builders.save(tmp_path / "theirs", {"a/variable": value})
    with opened(prefix) as source:
        write_bundle(str(tmp_path / "ours"), copies(source))
    assert files_of(tmp_path / "ours") == files_of(prefix)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("number", SAVABLE, ids=lambda number: tf.as_dtype(number).name)
def test_values_make_the_files_that_tensorflow_wrote(
    number: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    if tf.as_dtype(number) == tf.variant:
        pytest.skip("a variant has no values")
    prefix = builders.save(tmp_path / "theirs", {"v": builders.sample_values(number, shape)})
    with opened(prefix) as source:
        values = source.read(source["v"])
        write_bundle(str(tmp_path / "ours"), [valued("v", values, source["v"].dtype)])
    assert files_of(tmp_path / "ours") == files_of(prefix)


def test_an_index_of_several_blocks_is_the_one_that_tensorflow_writes(tmp_path: Path) -> None:
    names = [f"layer_{n // 7}/kernel/{'x' * (n % 40)}{n}" for n in range(12_000)]
    prefix = builders.save(tmp_path / "many", dict.fromkeys(names, np.float32(1)))
    theirs = builders.index_file(prefix).read_bytes()
    assert builders.block_count(theirs) > 1
    assert b"".join(table_parts(builders.pairs_in(theirs))) == theirs
    with opened(prefix) as source:
        write_bundle(str(tmp_path / "ours"), reversed(list(copies(source))))
    assert builders.listed_in(tmp_path / "ours") == builders.listed_in(prefix)


def test_variants_restore(tmp_path: Path) -> None:
    filled = tf.raw_ops.TensorListFromTensor(
        tensor=tf.constant([[1.0, 2.0], [3.0, 4.0]]), element_shape=[2]
    )
    prefix = builders.save(tmp_path / "theirs", {"list": filled, "z": tf.constant(1)})
    with opened(prefix) as source:
        write_bundle(str(tmp_path / "ours"), copies(source))
    restored = tf.raw_ops.RestoreV2(
        prefix=str(tmp_path / "ours"),
        tensor_names=["list"],
        shape_and_slices=[""],
        dtypes=[tf.variant],
    )[0]
    values = tf.raw_ops.TensorListStack(
        input_handle=restored, element_shape=[2], element_dtype=tf.float32
    )
    assert values.numpy().tolist() == [[1, 2], [3, 4]]


def test_keys_are_bytes(tmp_path: Path) -> None:
    keys = [b"\xff\xfe", "größe/σ".encode(), b"a b\n", b"x" * 70_000, b"\x01", b"a/\x00/b"]
    prefix = builders.save(tmp_path / "theirs", {key: np.arange(3) for key in keys})
    with opened(prefix) as source:
        write_bundle(str(tmp_path / "ours"), copies(source))
    ours, theirs = (
        builders.pairs_in(builders.index_file(path).read_bytes())
        for path in (tmp_path / "ours", prefix)
    )
    assert [key for key, _ in ours] == [key for key, _ in theirs] == [b"", *sorted(keys)]


# Data files


def sized(*sizes: int) -> list[Tensor]:
    return [
        valued(f"v{number}", np.full(size, number, np.uint8), "uint8")
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "limit", "wanted"),
    [
        ((10, 10, 10), None, [30]),
        ((10, 10, 10), 20, [20, 10]),
        ((10, 10, 10), 19, [10, 10, 10]),
        ((5, 50, 5, 5), 20, [5, 50, 10]),
        ((0, 20, 0), 20, [20, 0]),
        ((), 20, [0]),
    ],
)
def test_sharding_by_size(
    sizes: tuple[int, ...], limit: int | None, wanted: list[int], tmp_path: Path
) -> None:
    *data, index = write_bundle(str(tmp_path / "m"), sized(*sizes), shard_bytes=limit)
    assert [Path(path).stat().st_size for path in data] == wanted
    assert [Path(path) for path in data] == [
        builders.data_file(tmp_path / "m", number, len(wanted)) for number in range(len(wanted))
    ]
    assert Path(index) == builders.index_file(tmp_path / "m")
    found = builders.values_in(tmp_path / "m")
    assert {key: value.tolist() for key, value in found.items()} == {
        f"v{number}": [number] * size for number, size in enumerate(sizes)
    }


def test_strings_are_sharded_once_a_file_is_full(tmp_path: Path) -> None:
    tensors = [valued(f"s{n}", np.array([b"x" * 30], object), "string") for n in range(3)]
    *data, _ = write_bundle(str(tmp_path / "m"), tensors, shard_bytes=40)
    assert len(data) == 2
    assert set(builders.values_in(tmp_path / "m")) == {"s0", "s1", "s2"}


def test_a_count_that_is_taken_is_avoided(tmp_path: Path) -> None:
    prefix = tmp_path / "m"
    *data, _ = write_bundle(str(prefix), sized(4, 4), taken_counts={1, 2})
    assert data_files(str(prefix)) == dict.fromkeys(data, 3)
    assert [Path(path).stat().st_size for path in data] == [8, 0, 0]
    assert set(builders.values_in(prefix)) == {"v0", "v1"}


def test_data_files_of_one_prefix_only(tmp_path: Path) -> None:
    for name in (
        "m.data-00000-of-00001",
        "m2.data-00000-of-00001",
        "m.data-0-of-1",
        "m.data-00000",
    ):
        (tmp_path / name).touch()
    assert data_files(str(tmp_path / "m")) == {str(tmp_path / "m.data-00000-of-00001"): 1}
    with pytest.raises(UnreadableFileError):
        data_files(str(tmp_path / "none" / "m"))


# What cannot be written


@pytest.mark.parametrize(
    ("key", "dtype", "shape", "words"),
    [
        ("", "float32", (), "empty"),
        ("\0a", "float32", (), "zero byte"),
        ("a", "resource", (), "dtype resource"),
        ("a", "float8_e8m0fnu", (), "dtype float8_e8m0fnu"),
        ("a", "float32", (1,) * 255, "255 axes"),
        ("a", "float32", (1,) * 254, ""),
        ("a/b", "variant", (), ""),
    ],
)
def test_what_a_bundle_cannot_hold(
    key: str, dtype: str, shape: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    reason = why_unwritable(key, dtype, shape)
    assert words in reason
    assert bool(words) == bool(reason)
    if reason:
        with pytest.raises(ValueError, match=words):
            write_bundle(
                str(tmp_path / "m"), [Tensor(key=key, dtype=dtype, shape=shape, chunks=iter(()))]
            )


def test_repeated_keys_and_other_dtypes_are_refused(tmp_path: Path) -> None:
    one = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="repeated"):
        write_bundle(str(tmp_path / "m"), [valued("a", one, "float32")] * 2)
    with pytest.raises(ValueError, match="float64"):
        write_bundle(str(tmp_path / "n"), [valued("a", one.astype(np.float64), "float32")])


@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_content_that_does_not_fill_its_shape(dtype: str, tmp_path: Path) -> None:
    values = np.zeros(3, np.float32) if dtype == "float32" else np.array([b""] * 3, object)
    tensor = Tensor(key="a", dtype=dtype, shape=(4,), chunks=iter([values]))
    with pytest.raises(DamagedFileError, match="not what its shape needs"):
        write_bundle(str(tmp_path / "m"), [tensor])


def test_files_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    builders.index_file(tmp_path / "m").write_bytes(b"mine")
    with pytest.raises(UnwritableFileError):
        write_bundle(str(tmp_path / "m"), sized(4))
    assert builders.index_file(tmp_path / "m").read_bytes() == b"mine"


def test_a_table_takes_ascending_keys_only() -> None:
    for keys in ([b"b", b"a"], [b"a", b"a"]):
        with pytest.raises(ValueError, match="ascend"):
            list(table_parts([(key, b"") for key in keys]))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.binary(max_size=30), st.binary(max_size=300)), st.integers(1, 400))
def test_any_keys_make_a_table_that_reads_back(pairs: dict[bytes, bytes], repeat: int) -> None:
    entries = [(key, value * repeat) for key, value in sorted(pairs.items())]
    table = b"".join(table_parts(entries))
    assert builders.pairs_in(table) == entries


# Stored bytes


@pytest.mark.parametrize("number", SAVABLE, ids=lambda number: tf.as_dtype(number).name)
def test_stored_bytes_come_whole_and_any_flip_is_found(number: int, tmp_path: Path) -> None:
    prefix = builders.save(tmp_path / "m", {"v": builders.sample_values(number)})
    bundle = Bundle.of(prefix)
    stored = bundle.stored("v")
    with opened(prefix) as source:
        for chunk_bytes in (1, 7, 1 << 20):
            chunks = source.stored_chunks(source["v"], chunk_bytes)
            assert chunks is not None
            assert b"".join(map(bytes, chunks)) == stored
    for place in {0, len(stored) // 2, len(stored) - 1}:
        bundle.shards[0][:] = stored
        bundle.shards[0][place] ^= 1
        bundle.write(prefix)
        with opened(prefix) as source, pytest.raises(DamagedFileError):
            list(source.stored_chunks(source["v"]) or ())


def test_what_is_not_stored_as_a_bundle_has_it_gives_no_stored_bytes(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    prefix = builders.save_slices(tmp_path / "cut", builders.cut("v", values, [2]))
    with opened(prefix) as source:
        assert source.stored_chunks(source["v"]) is None
        assert not source.in_order(source["v"])
    bundle = Bundle.of(builders.save(tmp_path / "big", {"v": values}))
    bundle.to_big_endian()
    with opened(bundle.write(tmp_path / "big")) as source:
        assert source.stored_chunks(source["v"]) is None
        assert source.in_order(source["v"])


@pytest.mark.parametrize("folder", ["t2t_transformer_2shard", "onx_regression_ckpt"])
def test_real_checkpoints_copied_are_equal_in_every_entry(
    folder: str, corpus: Path, tmp_path: Path
) -> None:
    index = next((corpus / folder).rglob("*.index"))
    prefix = index.with_suffix("")
    with opened(prefix) as source:
        write_bundle(str(tmp_path / "ours"), copies(source))
    ours, theirs = Bundle.of(tmp_path / "ours"), Bundle.of(prefix)
    assert ours.entries.keys() == theirs.entries.keys()
    for key, entry in theirs.entries.items():
        assert ours.stored(key) == theirs.stored(key)
        mine = ours.entries[key]
        assert (mine.dtype, mine.shape, mine.crc32c) == (entry.dtype, entry.shape, entry.crc32c)
