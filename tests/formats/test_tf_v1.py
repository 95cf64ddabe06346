"""V1 checkpoints: the contract, slices and shards, and damage. TensorFlow is the oracle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    OpaqueVariableError,
    PathNotFoundError,
    TruncatedFileError,
)
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.formats.registry import Confidence
from ckptviewer.formats.sstable import MAGIC, masked_crc32c
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from ckptviewer.formats.tf_v1 import TfV1Format
from tests import varints
from tests.formats.contract import FormatContract, Sample, assert_same, copied_from_corpus

FORMAT = TfV1Format()


def oracle(path: Path) -> Mapping[str, np.ndarray]:
    """What TensorFlow reads of a file or of a pattern; its restore op puts slices together."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    values = {}
    dtypes = reader.get_variable_to_dtype_map()
    for key, shape in reader.get_variable_to_shape_map().items():
        whole = f"{' '.join(map(str, shape))} {':'.join('-' * len(shape))}" if shape else ""
        restored = tf.raw_ops.RestoreSlice(
            file_pattern=str(path), tensor_name=key, shape_and_slice=whole, dt=dtypes[key]
        )
        values[key] = np.asarray(restored.numpy(), object if dtypes[key] == tf.string else None)
    return values


def every_dtype(directory: Path) -> Sample:
    """All dtypes that TensorFlow saves in this format, scalars and empty tensors among them."""
    import tensorflow as tf

    rng = np.random.default_rng(5)
    tensors = {}
    for name in ("float32", "float64", "float16", "complex64", "complex128"):
        tensors[f"d/{name}"] = tf.cast(tf.constant(rng.normal(size=(3, 5))), name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16"):
        info = np.iinfo(name)
        values = [info.min, info.max, 0, 1, 127, 100, *rng.integers(0, info.max, 18)]
        tensors[f"d/{name}"] = tf.constant(np.array(values, name).reshape(4, 6))
    tensors["d/qint8"] = tf.bitcast(tf.constant([-128, 127, 0], tf.int8), tf.qint8)
    tensors["d/quint8"] = tf.bitcast(tf.constant([0, 255, 7], tf.uint8), tf.quint8)
    tensors["d/qint32"] = tf.bitcast(tf.constant([-(1 << 31), 5], tf.int32), tf.qint32)
    tensors["d/bool"] = tf.constant([[True, False], [False, True]])
    tensors["d/string"] = tf.constant([[b"one", b""], [b"\x00\xff", b"long " * 100]])
    tensors["vars/2"] = tf.constant(2.5)
    tensors["vars/10"] = tf.constant(7, tf.int64)
    tensors["empty"] = tf.zeros((0, 3))
    tensors["\u00fcber/\u6f22"] = tf.constant([np.nan, -0.0, np.inf])
    path = directory / "all"
    tf.raw_ops.Save(filename=str(path), tensor_names=list(tensors), data=list(tensors.values()))
    values = dict(oracle(path))
    for name, plain in (("qint8", "int8"), ("quint8", "uint8"), ("qint32", "int32")):
        values[f"d/{name}"] = values[f"d/{name}"].astype(plain)
    return Sample(directory=directory, path=path, values=values, data_files=("all",))


def large(directory: Path) -> Sample:
    """Several blocks, values larger than a block, and many small ones."""
    import tensorflow as tf

    rng = np.random.default_rng(6)
    data = {f"small/{number}/w": rng.normal(size=(7, number)) for number in range(200)}
    data["big/float"] = rng.normal(size=(700, 3, 401)).astype(np.float32)
    data["big/int"] = rng.integers(-(1 << 40), 1 << 40, (500, 401))
    data["big/half"] = rng.normal(size=400_000).astype(np.float16)
    path = directory / "large.ckpt"
    tf.raw_ops.Save(
        filename=str(path),
        tensor_names=list(data),
        data=[tf.constant(value) for value in data.values()],
    )
    return Sample(directory=directory, path=path, values=oracle(path), data_files=("large.ckpt",))


def sliced(directory: Path) -> Sample:
    """Slices along one axis, along two, and a single one that says where it lies."""
    import tensorflow as tf

    whole = np.arange(70.0, dtype=np.float32).reshape(7, 10)
    ints = np.arange(24).reshape(2, 3, 4)
    pieces = [
        ("rows", "7 10 0,3:-", whole[:3]),
        ("rows", "7 10 3,4:-", whole[3:]),
        ("quarters", "7 10 0,4:0,5", whole[:4, :5]),
        ("quarters", "7 10 4,3:5,5", whole[4:, 5:]),
        ("quarters", "7 10 0,4:5,5", whole[:4, 5:]),
        ("quarters", "7 10 4,3:0,5", whole[4:, :5]),
        ("ints", "2 3 4 -:-:0,1", ints[:, :, :1]),
        ("ints", "2 3 4 -:-:1,3", ints[:, :, 1:]),
        ("alone", "7 10 0,7:0,10", whole),
        ("plain", "7 10 -:-", whole),
    ]
    path = directory / "sliced"
    tf.raw_ops.SaveSlices(
        filename=str(path),
        tensor_names=[name for name, _, _ in pieces],
        shapes_and_slices=[place for _, place, _ in pieces],
        data=[tf.constant(value) for _, _, value in pieces],
    )
    return Sample(
        directory=directory,
        path=path,
        values=oracle(path),
        in_slices=frozenset({"rows", "quarters", "ints"}),
        data_files=("sliced",),
    )


def saver(directory: Path) -> Sample:
    """What `tf.train.Saver` of the first years wrote: sharded, partitioned, with its graph."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.get_variable("dense/kernel", (20, 6), partitioner=tf1.fixed_size_partitioner(3))
        with tf1.device("/cpu:0"):
            tf1.get_variable("dense/bias", (6,), initializer=tf1.ones_initializer())
        tf1.train.create_global_step()
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(sharded=True, write_version=tf1.train.SaverDef.V1).save(
            session, str(directory / "model.ckpt"), global_step=7
        )
    shards = sorted(each.name for each in directory.glob("model.ckpt-7-*-of-*"))
    return Sample(
        directory=directory,
        path=directory / "model.ckpt-7",
        values=oracle(directory / f"model.ckpt-7-?????-of-{len(shards):05d}"),
        in_slices=frozenset({"dense/kernel"}),
        data_files=tuple(shards),
    )


def two_shards(directory: Path) -> Sample:
    """Two files, a tensor of which each has a half."""
    import tensorflow as tf

    whole = np.arange(12.0).reshape(4, 3)
    for shard, rows in enumerate((slice(0, 1), slice(1, 4))):
        tf.raw_ops.SaveSlices(
            filename=str(directory / f"model-{shard:05d}-of-00002"),
            tensor_names=["halved", f"own/{shard}"],
            shapes_and_slices=[f"4 3 {rows.start},{rows.stop - rows.start}:-", "2 -"],
            data=[tf.constant(whole[rows]), tf.constant([shard, shard])],
        )
    return Sample(
        directory=directory,
        path=directory / "model",
        values=oracle(directory / "model-?????-of-00002"),
        in_slices=frozenset({"halved"}),
        data_files=("model-00000-of-00002", "model-00001-of-00002"),
    )


BUILDERS: dict[str, Callable[[Path], Sample]] = {
    "every_dtype": every_dtype,
    "large": large,
    "sliced": sliced,
    "saver": saver,
    "two_shards": two_shards,
}


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=[*BUILDERS, "serving"])
    @classmethod
    def sample(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
        directory = tmp_path_factory.mktemp(request.param)
        if request.param == "serving":
            return copied_from_corpus(
                request.getfixturevalue("corpus"),
                "srv_v1_sharded_export/00000123",
                directory,
                path="export",
                values=lambda path: oracle(Path(f"{path}-?????-of-00001")),
                data_files=("export-00000-of-00001",),
            )
        return BUILDERS[request.param](directory)


def varint(value: int) -> bytes:
    """Of negative numbers, too, as protobuf writes them."""
    return varints.varint(value & (1 << 64) - 1)


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


Slice = Sequence[tuple[int, int]]


def extents_message(extents: Slice) -> bytes:
    return b"".join(
        field(1, (field(1, start) if start else b"") + (field(2, n) if n >= 0 else b""))
        for start, n in extents
    )


def meta_of(name: str, dtype: int, shape: Sequence[int], slices: Sequence[Slice]) -> bytes:
    dims = b"".join(field(2, field(1, size)) for size in shape)
    listed = b"".join(field(4, extents_message(extents)) for extents in slices)
    return field(
        1,
        field(1, name.encode("utf-8", "surrogateescape"))
        + field(2, dims)
        + field(3, dtype)
        + listed,
    )


def value_of(name: str, extents: Slice, tensor: bytes) -> bytes:
    return field(
        2,
        field(1, name.encode("utf-8", "surrogateescape"))
        + field(2, extents_message(extents))
        + field(3, tensor),
    )


def table(entries: Mapping[bytes, bytes]) -> bytes:
    """A table of one block, each key written in full."""

    def block(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        content, restarts = b"", []
        for key, value in pairs:
            restarts.append(len(content))
            content += varint(0) + varint(len(key)) + varint(len(value)) + key + value
        restarts = restarts or [0]
        points = b"".join(n.to_bytes(4, "little") for n in (*restarts, len(restarts)))
        content += points + b"\0"
        return content + masked_crc32c(content).to_bytes(4, "little")

    data = block(sorted(entries.items()))
    nothing = block([])
    handle = varint(0) + varint(len(data) - 5)
    index = block([(max(entries) + b"\0", handle)])
    out = data + nothing + index
    footer = varint(len(data)) + varint(len(nothing) - 5)
    footer += varint(len(data) + len(nothing)) + varint(len(index) - 5)
    return out + footer.ljust(40, b"\0") + MAGIC


def file_of(path: Path, *tensors: tuple[str, int, Sequence[int], Mapping[Slice, bytes]]) -> Path:
    """A file of those tensors: name, number of the dtype, shape, TensorProtos by extents."""
    entries = {
        b"": field(1, b"".join(meta_of(n, d, shape, list(parts)) for n, d, shape, parts in tensors))
    }
    for name, _, _, parts in tensors:
        for extents, tensor in parts.items():
            entries[encode_slice_key(name, extents)] = value_of(name, extents, tensor)
    path.write_bytes(table(entries))
    return path


FLOATS = field(5, np.array([1, 2], np.float32).tobytes())
WHOLE = ((0, -1),)


def test_tensorflow_reads_what_these_tests_build(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", ("x", 1, [2], {WHOLE: FLOATS}), ("s", 3, [], {(): field(7, 5)}))
    assert oracle(path)["x"].tolist() == [1, 2]
    assert oracle(path)["s"] == 5


def test_the_graph_tells_who_wrote_it_and_what_is_trained(tmp_path: Path) -> None:
    with FORMAT.open(saver(tmp_path).path) as checkpoint:
        import tensorflow as tf

        assert checkpoint.written_by == f"TensorFlow {tf.__version__}"
        trainable = {each.key: each.trainable for each in checkpoint.variables}
        assert trainable == {"dense/kernel": True, "dense/bias": True, "global_step": False}
        assert checkpoint.path == str(tmp_path / "model.ckpt-7")
        assert checkpoint["dense/kernel"].shard == 0
        assert checkpoint.details(checkpoint["dense/kernel"])["Partitioned"] == "3 slices"


def test_a_damaged_graph_beside_it_is_told(tmp_path: Path) -> None:
    sample = saver(tmp_path)
    (tmp_path / "model.ckpt-7.meta").write_bytes(b"\xff" * 100)
    with FORMAT.open(sample.path) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["damaged-meta"]


def test_any_path_of_a_sharded_checkpoint_opens_all_of_it(tmp_path: Path) -> None:
    sample = two_shards(tmp_path)
    for name in ("model", "model-00000-of-00002", "model-00001-of-00002"):
        match = FORMAT.probe(tmp_path / name)
        assert match.confidence is Confidence.CERTAIN
        with FORMAT.open(match.path) as checkpoint:
            assert checkpoint.by_key.keys() == sample.values.keys()
            assert checkpoint["own/1"].shard == 1
            assert checkpoint["halved"].shard == -1


def test_bundles_and_v1_tables_are_told_apart(tmp_path: Path, corpus: Path) -> None:
    sample = two_shards(tmp_path)
    index = corpus / "t2t_transformer_2shard" / "model.ckpt-1.index"
    assert FORMAT.probe(index).confidence is Confidence.NO
    assert FORMAT.probe(index.with_suffix("")).confidence is Confidence.NO
    for name in sample.data_files:
        assert TensorBundleFormat().probe(tmp_path / name).confidence is Confidence.NO


def test_a_missing_shard_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    two_shards(tmp_path)
    (tmp_path / "model-00000-of-00002").unlink()
    with FORMAT.open(FORMAT.probe(tmp_path / "model").path) as checkpoint:
        assert [(f.code, f.variable) for f in checkpoint.findings] == [
            ("missing-shard", None),
            ("unreadable-variable", "halved"),
        ]
        assert "model-00000-of-00002" in checkpoint.findings[0].message
        with pytest.raises(DamagedFileError, match="9 of its 12 elements"):
            checkpoint.read(checkpoint["halved"])
        assert checkpoint.read(checkpoint["own/1"]).tolist() == [1, 1]


def test_a_path_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError):
        FORMAT.open(tmp_path / "nothing")


def test_a_flipped_bit_does_not_match_its_checksum(tmp_path: Path) -> None:
    sample = large(tmp_path)
    data = bytearray(sample.path.read_bytes())
    at = data.index(sample.values["big/float"].tobytes()) + 100_000
    data[at] ^= 1
    sample.path.write_bytes(data)
    with FORMAT.open(sample.path) as checkpoint:
        with pytest.raises(ChecksumError):
            checkpoint.read(checkpoint["big/float"])
        with pytest.raises(ChecksumError):
            list(checkpoint.chunks(checkpoint["big/float"]))
        assert_same(checkpoint.read(checkpoint["big/int"]), sample.values["big/int"])


def test_what_stands_before_the_cut_is_saved(tmp_path: Path) -> None:
    sample = large(tmp_path)
    data = sample.path.read_bytes()
    cut = data.index(sample.values["big/float"].tobytes()) + 1_000_000
    sample.path.write_bytes(data[:cut])
    assert FORMAT.probe(sample.path).confidence is Confidence.MAYBE
    with FORMAT.open(sample.path) as checkpoint:
        assert checkpoint.by_key.keys() == sample.values.keys()
        assert checkpoint.findings[0].code == "truncated-shard"
        lost = {each.variable for each in checkpoint.findings[1:]}
        assert "big/float" in lost
        with pytest.raises(DamagedFileError):
            checkpoint.read(checkpoint["big/float"])
        saved = sample.values.keys() - lost
        for key in saved:
            assert_same(checkpoint.read(checkpoint[key]), sample.values[key])


def test_a_lost_footer_costs_nothing(tmp_path: Path) -> None:
    sample = large(tmp_path)
    os.truncate(sample.path, sample.path.stat().st_size - 20)
    with FORMAT.open(sample.path) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["truncated-shard"]
        for key, value in sample.values.items():
            assert_same(checkpoint.read(checkpoint[key]), value)


def test_content_and_single_numbers_are_read_too(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "a",
        ("content", 3, [2], {WHOLE: field(4, np.array([5, -6], "<i4").tobytes())}),
        ("singles", 9, [3], {WHOLE: field(10, 1) + field(10, -1) + field(10, 1 << 40)}),
        ("float singles", 1, [2], {WHOLE: b"\x2d" + FLOATS[2:6] + b"\x2d" + FLOATS[6:]}),
        ("two runs", 1, [4], {WHOLE: FLOATS + FLOATS}),
    )
    with FORMAT.open(path) as checkpoint:
        found = {key: checkpoint.read(checkpoint[key]).tolist() for key in checkpoint.by_key}
    assert found == {
        "content": [5, -6],
        "singles": [1, -1, 1 << 40],
        "float singles": [1, 2],
        "two runs": [1, 2, 1, 2],
    }


BAD_TENSORS = {
    "too few": (1, [3], {WHOLE: FLOATS}),
    "too many": (1, [1], {WHOLE: FLOATS}),
    "no values": (1, [2], {WHOLE: b""}),
    "huge": (1, [1 << 40], {WHOLE: FLOATS}),
    "huger": (1, [1 << 40, 1 << 40], {((0, -1), (0, -1)): FLOATS}),
    "huge and empty": (1, [0, 1 << 62], {((0, -1), (0, -1)): b""}),
    "negative": (1, [-1], {WHOLE: FLOATS}),
    "overlap": (1, [3], {((0, 2),): FLOATS, ((1, 2),): FLOATS}),
    "overlap that adds up": (1, [4], {((0, 2),): FLOATS, ((1, 2),): FLOATS}),
    "hole": (1, [5], {((0, 2),): FLOATS, ((3, 2),): FLOATS}),
    "beyond": (1, [3], {((2, 2),): FLOATS, ((0, 2),): FLOATS}),
    "wrong rank": (1, [2], {((0, -1), (0, -1)): FLOATS}),
    "no slices": (1, [2], {}),
    "odd bytes": (1, [2], {WHOLE: field(5, b"1234567")}),
    "endless number": (3, [2], {WHOLE: field(7, b"\xff" * 30)}),
    "long number": (3, [1], {WHOLE: field(7, b"\xff" * 11 + b"\x01")}),
    "strings for one": (7, [2], {WHOLE: field(8, b"only one")}),
}


@pytest.mark.parametrize("tensor", BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_bad_tensors_stay_with_their_reason(tmp_path: Path, tensor: tuple) -> None:
    path = file_of(tmp_path / "a", ("bad", *tensor), ("good", 1, [2], {WHOLE: FLOATS}))
    with FORMAT.open(path) as checkpoint:
        with pytest.raises(DamagedFileError) as caught:
            checkpoint.read(checkpoint["bad"])
        assert caught.value.where == "bad"
        with pytest.raises(DamagedFileError):
            list(checkpoint.chunks(checkpoint["bad"]))
        assert checkpoint.read(checkpoint["good"]).tolist() == [1, 2]


def test_unknown_dtypes_are_listed(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", ("new", 99, [2], {WHOLE: FLOATS}))
    with FORMAT.open(path) as checkpoint:
        assert checkpoint["new"].dtype == "dtype-99"
        with pytest.raises(OpaqueVariableError):
            checkpoint.read(checkpoint["new"])


def test_names_that_are_no_utf_8_are_read(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "a", (b"caf\xe9".decode("utf-8", "surrogateescape"), 1, [2], {WHOLE: FLOATS})
    )
    with FORMAT.open(path) as checkpoint:
        (variable,) = checkpoint.variables
        assert variable.key.encode("utf-8", "surrogateescape") == b"caf\xe9"
        assert checkpoint.read(variable).tolist() == [1, 2]


def test_a_list_that_is_no_message_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(table({b"": field(1, b"\xff" * 40), b"\0x\0\1\0": FLOATS}))
    with pytest.raises(DamagedFileError, match="list of tensors is damaged"):
        FORMAT.open(tmp_path / "a")


def test_a_table_without_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(table({b"\0x\0\1\0": FLOATS}))
    with pytest.raises(DamagedFileError, match="list of tensors is lost"):
        FORMAT.open(tmp_path / "a")


def test_keys_that_feed_on_each_other_are_refused(tmp_path: Path) -> None:
    """A key may share all but a byte with the one before: small blocks could fill memory."""
    content = varint(0) + varint(50_000) + varint(1) + b"k" * 50_001
    content += (varint(50_000) + varint(1) + varint(1) + b"kv") * 2000
    content += bytes(4) + (1).to_bytes(4, "little") + b"\0"
    first = table({b"": field(1, meta_of("x", 1, [2], [WHOLE]))})
    path = tmp_path / "a"
    path.write_bytes(first)
    from ckptviewer.formats.sstable import BlockHandle
    from ckptviewer.formats.v1_tables import _walk
    from ckptviewer.storage.byte_source import MemoryBytes

    with pytest.raises(DamagedFileError, match="keys are far longer"):
        list(_walk(MemoryBytes(content), BlockHandle(0, len(content) - 1), None))


def test_a_truncated_list_is_refused(tmp_path: Path) -> None:
    sample = large(tmp_path)
    os.truncate(sample.path, 1000)
    with pytest.raises((TruncatedFileError, DamagedFileError)):
        FORMAT.open(sample.path)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    directory = tmp_path_factory.mktemp("seeds")
    built = file_of(
        directory / "built",
        ("x", 1, [4], {((0, 2),): FLOATS, ((2, 2),): FLOATS}),
        ("s", 7, [1], {WHOLE: field(8, b"text")}),
        ("i", 9, [2], {WHOLE: field(10, varint(1) + varint(-1))}),
    )
    (directory / "tf").mkdir()
    return [built.read_bytes(), every_dtype(directory / "tf").path.read_bytes()]


def repaired(data: bytes) -> bytes:
    """The same file with the checksum of its first block set right, so that damage gets further."""
    data = bytearray(data)
    nothing = b"\0\0\0\0\1\0\0\0\0"  # the empty block behind the first one
    end = data.find(nothing + masked_crc32c(nothing).to_bytes(4, "little"))
    if end > 5:
        data[end - 4 : end] = masked_crc32c(memoryview(data)[: end - 4]).to_bytes(4, "little")
    return bytes(data)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_only_our_own_errors_escape(
    tmp_path: Path, seeds: list[bytes], draw: st.DataObject
) -> None:
    data = bytearray(draw.draw(st.sampled_from(seeds)))
    for _ in range(draw.draw(st.integers(1, 5))):
        at = draw.draw(st.integers(0, max(0, len(data) - 1)))
        action = draw.draw(st.sampled_from(["set", "set", "set", "cut", "insert", "drop"]))
        if action == "set" and data:
            data[at] = draw.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12]))
        elif action == "cut":
            del data[at:]
        elif action == "insert":
            data[at:at] = draw.draw(st.sampled_from([b"\xff" * 9, b"\0", b"\x0a\x00", b"\x80"]))
        else:
            del data[at : at + draw.draw(st.integers(1, 9))]
    path = tmp_path / "fuzzed"
    path.write_bytes(repaired(data) if draw.draw(st.booleans()) else data)
    FORMAT.probe(path)
    try:
        checkpoint = FORMAT.open(path)
    except CkptviewerError:
        return
    with checkpoint:
        for variable in checkpoint.variables:
            for read in (
                checkpoint.read,
                lambda v: checkpoint.read(v, (slice(1, 2),) * min(1, len(v.shape))),
                lambda v: list(checkpoint.chunks(v)),
            ):
                try:
                    read(variable)
                except CkptviewerError:
                    pass


def test_shards_are_found_among_many_files(tmp_path: Path) -> None:
    sample = two_shards(tmp_path)
    for name in ("model-00000-of-00003", "other-00000-of-00002", "model-1", "model.meta.txt"):
        shutil.copy(tmp_path / "model-00000-of-00002", tmp_path / name)
    with FORMAT.open(FORMAT.probe(tmp_path / "model-00001-of-00002").path) as checkpoint:
        assert checkpoint.by_key.keys() == sample.values.keys()
        assert checkpoint.findings == ()
