"""V2 tensor bundles: the contract, and all that TensorFlow writes. TensorFlow is the oracle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import numpy_dtype
from ckptviewer.checkpoint.errors import (
    ChangedFileError,
    CkptviewerError,
    DamagedFileError,
    OpaqueVariableError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.formats.registry import Confidence
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from tests import builders
from tests.builders import Bundle, cut, data_file, listed_in, merge, save, save_slices, values_in
from tests.formats.contract import FormatContract, Sample, assert_same, copied_from_corpus

FORMAT = TensorBundleFormat()


def open_(prefix: Path) -> Checkpoint:
    match = FORMAT.probe(prefix)
    assert match.confidence is Confidence.CERTAIN, match.reason
    return FORMAT.open(match.path)


def of_prefix(prefix: Path, **about: object) -> Sample:
    """The sample of a prefix that stands alone in its directory."""
    names = sorted(file.name for file in prefix.parent.glob(f"{prefix.name}.data-*"))
    if "values" not in about:
        about["values"] = values_in(prefix)
    return Sample(directory=prefix.parent, path=prefix, data_files=tuple(names), **about)


# Samples, one function each


def every_dtype(directory: Path) -> Sample:
    tensors = {f"d/{tf.as_dtype(n).name}": builders.sample_values(n) for n in builders.SAVABLE}
    return of_prefix(save(directory / "all.ckpt", tensors), unread=frozenset({"d/variant"}))


def odd_shapes(directory: Path) -> Sample:
    rng = np.random.default_rng(5)
    tensors = {
        "scalar": np.float32(3.5),
        "one": np.array([7], np.int64),
        "empty": np.empty((0, 4), np.float32),
        "empty inside": np.empty((3, 0, 2), np.int8),
        "no strings": np.empty((2, 0), object),
        "high rank": np.arange(64, dtype=np.uint16).reshape(2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2),
        "not a number": np.array([np.nan, -0.0, np.inf, -np.inf, 1e-45], np.float32),
        "tall": rng.normal(size=(700, 301, 7)).astype(np.float32),
        "wide": rng.normal(size=(2, 3, 400_000)).astype(np.float32),
        "odd": rng.integers(0, 255, (7, 11, 13)).astype(np.uint8),
        "vars/10": np.zeros(10, bool),
        "vars/2": np.ones(2, bool),
        "\u00fcber/\u6f22\u5b57/\U0001f600": np.ones(3, np.float32),
        "with space \"quoted\" \\ 'and' {brace}:0": np.ones((), np.float16),
    }
    tensors["no strings"] = tf.constant([], tf.string, (2, 0))
    return of_prefix(save(directory / "model.ckpt-1", tensors))


def strings(directory: Path) -> Sample:
    long = bytes(range(256)) * 300
    tensors = {
        "scalar": tf.constant(b"one"),
        "empty string": tf.constant(b""),
        "all empty": tf.constant([b""] * 5),
        "long": tf.constant([b"", long, b"x", long[:-1], b""]),
        "zeros": tf.constant([[b"\0", b"a\0b"], [b"\0\0", b"ends\0"]]),
        "not utf-8": tf.constant([b"\xff\xfe", b"\x80", "\u00fc".encode("latin-1")]),
        "utf-8": tf.constant(["\u6f22\u5b57", "\U0001f600"]),
        "lengths of each width": tf.constant([b"a" * n for n in (127, 128, 16383, 16384)]),
        "many": tf.constant([b"%d" % n for n in range(1000)], shape=(10, 20, 5)),
    }
    return of_prefix(save(directory / "strings", tensors))


def partitioned_slices() -> tuple[dict[str, np.ndarray], list[tuple]]:
    rng = np.random.default_rng(11)
    values = {
        "rows": rng.normal(size=(10, 4)).astype(np.float32),
        "columns": rng.normal(size=(4, 10)).astype(np.float64),
        "grid": rng.integers(-9, 9, (9, 8)).astype(np.int32),
        "cube": rng.integers(-9, 9, (5, 6, 7)).astype(np.int64),
        "line": rng.normal(size=11).astype(np.float32),
        "one slice": rng.normal(size=(3, 3)).astype(np.float32),
    }
    slices = [
        *cut("rows", values["rows"], (3, 4, 9)),
        *cut("columns", values["columns"], (), (1, 8)),
        *cut("grid", values["grid"], (2, 7), (3,)),
        *cut("cube", values["cube"], (2,), (1, 4), (5,)),
        *reversed(cut("line", values["line"], (5, 6))),
        ("one slice", "3 3 -:-", values["one slice"]),
    ]
    return values, slices


def partitioned(directory: Path) -> Sample:
    values, slices = partitioned_slices()
    prefix = save_slices(directory / "parted", slices)
    assert values_in(prefix).keys() == values.keys()
    return of_prefix(prefix, values=values, in_slices=frozenset(values))


def partitioned_by_v1(directory: Path) -> Sample:
    """As an Estimator of TensorFlow 1 cuts a large embedding, with its optimizer's slots."""
    prefix = directory / "model.ckpt-7"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with tf.compat.v1.variable_scope(
            "scope", partitioner=tf.compat.v1.fixed_size_partitioner(3), use_resource=True
        ):
            table = tf.compat.v1.get_variable("embedding", (10, 4))
        step = tf.compat.v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(tf.convert_to_tensor(table) ** 2)
        tf.compat.v1.train.AdamOptimizer().minimize(loss, global_step=step)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(prefix), write_meta_graph=False, write_state=False)
    values = values_in(prefix)
    cut_ones = frozenset(key for key in values if key.startswith("scope/embedding"))
    assert len(cut_ones) == 3
    return of_prefix(prefix, values=values, in_slices=cut_ones)


def several_shards(directory: Path) -> Sample:
    rng = np.random.default_rng(2)
    parts = directory.parent / f"{directory.name}-parts"
    embedding = rng.normal(size=(9, 5)).astype(np.float32)
    slices = cut("embedding", embedding, (4, 6))
    prefixes = [
        save(parts / "a", {"a/kernel": rng.normal(size=(4, 4)), "step": np.int64(7)}),
        save(parts / "b", {"b/kernel": rng.normal(size=(50, 4)), "text": tf.constant([b"x", b""])}),
        save_slices(parts / "c", slices[:1]),
        save_slices(parts / "d", slices[1:]),
    ]
    prefix = merge(directory / "sharded", prefixes)
    assert len(list(directory.glob("*.data-*"))) == 4
    return of_prefix(prefix, in_slices=frozenset({"embedding"}))


def big_endian(directory: Path) -> Sample:
    source = directory.parent / f"{directory.name}-little"
    tensors = {f"d/{tf.as_dtype(n).name}": builders.sample_values(n) for n in builders.SAVABLE}
    rng = np.random.default_rng(4)
    tensors |= {
        "large": rng.normal(size=(1200, 1000)).astype(np.float32),
        "complex": (rng.normal(size=(6, 5)) + 1j).astype(np.complex64),
        "empty": np.empty((0, 3), np.float64),
        "scalar": np.float64(2.5),
    }
    values = values_in(save(source / "little", tensors))
    bundle = Bundle.of(source / "little")
    bundle.to_big_endian()
    prefix = bundle.write(directory / "big")
    reader = tf.train.load_checkpoint(str(prefix))
    for key, expected in values.items():
        try:
            found = np.asarray(reader.get_tensor(key))
        except tf.errors.OpError as error:
            assert "Byte-swapping not supported" in str(error)  # noqa: PT017
            assert expected.dtype.itemsize == 1
            continue
        assert_same(found.astype(object) if expected.dtype == object else found, expected)
    return of_prefix(prefix, values=values, unread=frozenset({"d/variant"}))


def big_endian_partitioned(directory: Path) -> Sample:
    source = directory.parent / f"{directory.name}-little"
    values, slices = partitioned_slices()
    bundle = Bundle.of(save_slices(source / "little", slices))
    bundle.to_big_endian()
    return of_prefix(bundle.write(directory / "big"), values=values, in_slices=frozenset(values))


def many_blocks(directory: Path) -> Sample:
    names = [f"layer_{n}/sub_{n % 7}/kernel_with_quite_a_long_name" for n in range(400)]
    prefix = save(directory / "many", {name: np.float32(n) for n, name in enumerate(names)})
    return of_prefix(prefix)


def snappy_blocks(directory: Path) -> Sample:
    source = directory.parent / f"{directory.name}-plain"
    names = [f"scope/layer_{n}/sub_{n % 7}/kernel" for n in range(120)]
    prefix = save(source / "plain", {name: np.arange(n % 5) for n, name in enumerate(names)})
    return of_prefix(Bundle.of(prefix).write(directory / "small", block_entries=17, snappy=True))


def empty_basename(directory: Path) -> Sample:
    source = directory.parent / f"{directory.name}-named"
    save(source / "x", {"a": np.arange(3.0), "b": np.int32(2)})
    for file in source.iterdir():
        shutil.copy(file, directory / file.name.removeprefix("x"))
    return Sample(
        directory=directory,
        path=directory / ".index",
        values=values_in(source / "x"),
        data_files=(".data-00000-of-00001",),
    )


SAMPLES = (
    every_dtype,
    odd_shapes,
    strings,
    partitioned,
    partitioned_by_v1,
    several_shards,
    big_endian,
    big_endian_partitioned,
    many_blocks,
    snappy_blocks,
    empty_basename,
)
FROM_CORPUS = {
    "srv_sm_v2_half_plus_two": "00000123/variables/variables",
    "tfx_estimator_2shard": "model.ckpt-10000",
}


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=[*(each.__name__ for each in SAMPLES), *FROM_CORPUS])
    @classmethod
    def sample(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Sample:
        directory = tmp_path_factory.mktemp(request.param)
        if request.param not in FROM_CORPUS:
            return globals()[request.param](directory)
        corpus = request.getfixturevalue("corpus")
        inside = Path(FROM_CORPUS[request.param])
        names = sorted((corpus / request.param).glob(f"{inside}.data-*"))
        return copied_from_corpus(
            corpus,
            request.param,
            directory,
            path=str(inside),
            values=values_in,
            data_files=tuple(str(name.relative_to(corpus / request.param)) for name in names),
        )


# Whole files against TensorFlow


def assert_like_tensorflow(prefix: Path) -> None:
    """Same keys, dtypes and shapes as list_variables; same bytes as get_tensor."""
    values = values_in(prefix)
    with open_(prefix) as checkpoint:
        found = {each.key: (each.dtype, each.shape) for each in checkpoint.variables}
        assert found == listed_in(prefix)
        assert [each for each in checkpoint.findings if each.severity == "error"] == []
        keys = [each.key for each in checkpoint.variables]
        assert keys == natural_sorted(keys, key=str)
        for key, expected in values.items():
            assert_same(checkpoint.read(checkpoint[key]), expected)


def test_every_bundle_of_the_corpus(corpus: Path) -> None:
    indexes = sorted(corpus.rglob("*.index"))
    assert len(indexes) >= 9
    for index in indexes:
        assert_like_tensorflow(index.with_suffix(""))


def test_real_bundles_are_as_described(corpus: Path) -> None:
    half = corpus / FROM_CORPUS_PREFIXES["snappy"]
    raw = Path(f"{half}.index").read_bytes()
    assert raw[_first_block_end(raw)] == 1, "its first block is compressed with Snappy"
    with open_(corpus / FROM_CORPUS_PREFIXES["shards"]) as checkpoint:
        assert {each.shard for each in checkpoint.variables} == {0, 1}
        assert len(checkpoint.variables) == 250


FROM_CORPUS_PREFIXES = {
    "snappy": "srv_sm_v2_half_plus_two/00000123/variables/variables",
    "shards": "t2t_transformer_2shard/model.ckpt-1",
}


def _first_block_end(table: bytes) -> int:
    _, _, offset, size = builders.numbers_in(table[-builders.FOOTER_BYTES :], 4)
    (_, value), *_ = builders.pairs_in_block(table, offset, size)
    first, length = builders.numbers_in(value, 2)
    return first + length


def test_a_saved_training_with_its_object_graph(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    optimizer = tf.keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    numbers = iter(tf.data.Dataset.range(5))
    next(numbers)
    saved = tf.train.Checkpoint(model=model, optimizer=optimizer, numbers=numbers)
    prefix = Path(saved.save(str(tmp_path / "training")))
    listed = listed_in(prefix)
    assert "variant" in {dtype for dtype, _ in listed.values()}
    assert_like_tensorflow(prefix)
    with open_(prefix) as checkpoint:
        iterator = next(each for each in checkpoint.variables if each.dtype == "variant")
        assert iterator.stored_bytes > 0
        with pytest.raises(OpaqueVariableError) as caught:
            checkpoint.read(iterator)
        assert caught.value.remedy
        assert caught.value.where == iterator.key


def test_a_saver_with_a_sharded_graph(tmp_path: Path) -> None:
    prefix = tmp_path / "model.ckpt"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name in ("w", "w_1", "w_2", "w_10"):
            tf.compat.v1.get_variable(name, (2, 3))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(sharded=True)
        written = saver.save(session, str(prefix), global_step=3, write_meta_graph=False)
    assert_like_tensorflow(Path(written))
    with open_(Path(written)) as checkpoint:
        assert [each.key for each in checkpoint.variables] == ["w", "w_1", "w_2", "w_10"]


# Dtypes


@pytest.mark.parametrize("number", builders.SAVABLE, ids=lambda n: tf.as_dtype(n).name)
def test_a_dtype_partitioned_in_shards_and_big_endian(number: int, tmp_path: Path) -> None:
    """Slices, several shards and byte order together, for each dtype.

    TensorFlow writes slices of all dtypes, and puts only some together again; each slice by itself
    it restores. So the truth is what was saved.
    """
    dtype = tf.as_dtype(number)
    if dtype == tf.variant:
        pytest.skip("a variant has no slices")
    whole = builders.sample_values(number, (7, 4), seed=3)
    values = whole.numpy()
    if dtype == tf.string:
        values = np.asarray(values, object)
    edges = (0, 2, 5, 7)
    parts = []
    for low, high in pairwise(edges):
        piece = tf.constant(values[low:high], dtype)
        spec = f"7 4 {low},{high - low}:-"
        parts.append(save_slices(tmp_path / f"part{low}", [("v", spec, piece)]))
        restored = tf.raw_ops.RestoreV2(
            prefix=str(parts[-1]), tensor_names=["v"], shape_and_slices=[spec], dtypes=[dtype]
        )[0].numpy()
        assert restored.tolist() == piece.numpy().tolist() or restored.dtype.kind in "fcV"
    prefix = merge(tmp_path / "little", parts)
    bundle = Bundle.of(prefix)
    bundle.to_big_endian()
    for each in (prefix, bundle.write(tmp_path / "big")):
        with open_(each) as checkpoint:
            (variable,) = checkpoint.variables
            assert (variable.dtype, variable.shape) == (dtype.name, (7, 4))
            assert variable.shard == -1
            expected = values.view(numpy_dtype(dtype.name)) if values.dtype.names else values
            assert_same(checkpoint.read(variable), expected)
            assert_same(checkpoint.read(variable, (slice(1, 6), slice(2, 3))), expected[1:6, 2:3])
            pieces = [piece.copy() for piece in checkpoint.chunks(variable, 8)]
            assert_same(np.concatenate(pieces), expected.reshape(-1))


@pytest.mark.parametrize("number", [8, 18], ids=["complex64", "complex128"])
def test_halves_of_complex_numbers_are_swapped_one_by_one(number: int, tmp_path: Path) -> None:
    bundle = Bundle.empty()
    value = np.array([1 + 2j, -3.5j], tf.as_dtype(number).as_numpy_dtype)
    bundle.add("c", value)
    bundle.to_big_endian()
    assert bundle.stored("c") == value.astype(value.dtype.newbyteorder(">")).tobytes()
    with open_(bundle.write(tmp_path / "c")) as checkpoint:
        assert_same(checkpoint.read(checkpoint["c"]), value)


def test_dtypes_of_the_future_are_listed_and_opaque(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("known", np.arange(3, dtype=np.float32))
    bundle.add("unknown", b"12345678").dtype = 77
    with open_(bundle.write(tmp_path / "future")) as checkpoint:
        unknown = checkpoint["unknown"]
        assert unknown.stored_bytes == 8
        assert "77" in unknown.dtype
        with pytest.raises(OpaqueVariableError):
            checkpoint.read(unknown)
        with pytest.raises(OpaqueVariableError):
            next(checkpoint.chunks(unknown))
        assert checkpoint.read(checkpoint["known"]).tolist() == [0, 1, 2]


# Keys and shapes


def test_more_axes_than_numpy_has(tmp_path: Path) -> None:
    values = np.arange(4, dtype=np.float32)
    tensors = {"deep": tf.reshape(values, [1] * 100 + [2, 2]), "w": values}
    prefix = save(tmp_path / "deep", tensors)
    with open_(prefix) as checkpoint:
        variable = checkpoint["deep"]
        assert (variable.dtype, variable.shape) == listed_in(prefix)["deep"]
        with pytest.raises(CkptviewerError):
            checkpoint.read(variable)
        pieces = [piece.copy() for piece in checkpoint.chunks(variable)]
        assert_same(np.concatenate(pieces), values)
        assert_same(checkpoint.read(checkpoint["w"]), values)


def test_keys_that_are_no_utf8(tmp_path: Path) -> None:
    names = [b"\xff\xfe/caf\xe9", b"zero\x00inside", "\u00fc".encode()]
    parted = [b"\xffparted\x00\xff\x00\x01name", b"\xff", b"a\x00\xff\xff\x00", "\u00fcx".encode()]
    values = np.arange(6, dtype=np.float32)
    parts = [
        save(tmp_path / "a", dict.fromkeys(names, values)),
        save_slices(tmp_path / "b", [each for name in parted for each in cut(name, values, (1,))]),
    ]
    with open_(merge(tmp_path / "odd", parts)) as checkpoint:
        keys = {os.fsencode(each.key) for each in checkpoint.variables}
        assert keys == {*names, *parted}
        assert checkpoint.findings == ()
        for variable in checkpoint.variables:
            assert_same(checkpoint.read(variable), values)
            assert checkpoint.details(variable)


def test_keys_come_in_natural_order(tmp_path: Path) -> None:
    names = ["b", "a/10/x", "a/9/x", "a/9", "a-b/x", "a/z", "A", "a10", "a9", "_x", "a/9/x/1"]
    prefix = save(tmp_path / "n", {name: np.float32(1) for name in names})
    with open_(prefix) as checkpoint:
        keys = [each.key for each in checkpoint.variables]
    assert keys.index("a/9/x") < keys.index("a/10/x")
    assert keys.index("a9") < keys.index("a10")
    assert keys.index("a/9") < keys.index("a/9/x") < keys.index("a/9/x/1")
    assert keys.index("a/z") < keys.index("a-b/x")
    assert sorted(keys) == sorted(names)


def test_an_empty_bundle(tmp_path: Path) -> None:
    with open_(Bundle.empty().write(tmp_path / "none")) as checkpoint:
        assert list(checkpoint.variables) == []
        assert checkpoint.findings == ()


def test_a_partition_with_a_slice_missing_is_listed_and_not_read(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.float32)
    prefix = save_slices(tmp_path / "part", [*cut("v", values, (3, 5))[:2], ("w", "2 0,2", [1, 2])])
    assert listed_in(prefix)["v"] == ("float32", (8,))
    with open_(prefix) as checkpoint:
        assert checkpoint["v"].shape == (8,)
        with pytest.raises(DamagedFileError):
            checkpoint.read(checkpoint["v"])
        with pytest.raises(DamagedFileError):
            list(checkpoint.chunks(checkpoint["v"]))
        assert checkpoint.read(checkpoint["w"]).tolist() == [1, 2]


def test_details_and_checksums_are_those_of_the_index(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    prefix = save(tmp_path / "x", {"a": values, "b": values, "c": values + 1})
    entries = Bundle.of(prefix).entries
    with open_(prefix) as checkpoint:
        for variable in checkpoint.variables:
            entry = entries[variable.key.encode()]
            assert checkpoint.checksum(variable) == entry.crc32c
            assert variable.stored_bytes == entry.size
            assert variable.shard == entry.shard_id
            texts = " ".join(checkpoint.details(variable).values())
            assert f"{entry.crc32c:08x}" in texts
            assert "x.data-00000-of-00001" in texts
        assert checkpoint.checksum(checkpoint["a"]) == checkpoint.checksum(checkpoint["b"])
        assert checkpoint.checksum(checkpoint["a"]) != checkpoint.checksum(checkpoint["c"])


def test_entries_may_have_fields_in_any_order_and_unknown_ones(tmp_path: Path) -> None:
    """Protobuf promises neither order nor completeness; a reader must not either."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    bundle = Bundle.empty()
    bundle.add("before", values - 1)
    entry = bundle.add("v", values)
    bundle.add("w", values + 1)
    fields = [
        b"\x35" + entry.crc32c.to_bytes(4, "little"),
        b"\x28" + builders.varint(entry.size),
        b"\x12" + bytes((len(entry.shape.SerializeToString()),)) + entry.shape.SerializeToString(),
        b"\xfa\x07\x03abc",
        b"\x20" + builders.varint(entry.offset),
        b"\x18\x00",
        b"\x08\x01",
    ]
    pairs = [(k, b"".join(fields) if k == b"v" else value) for k, value in bundle.pairs()]
    prefix = bundle.write_with(tmp_path / "order", builders.table_of(pairs))
    assert_like_tensorflow(prefix)


# Recognising


def test_recognises_a_bundle_by_its_content(tmp_path: Path) -> None:
    prefix = save(tmp_path / "model.ckpt", {"a": np.arange(3.0)})
    index = Path(f"{prefix}.index")
    assert FORMAT.probe(prefix).path == FORMAT.probe(index).path
    with FORMAT.open(prefix) as checkpoint:
        assert checkpoint.path == str(prefix)
    assert FORMAT.probe(data_file(prefix)).confidence is Confidence.NO
    assert FORMAT.probe(tmp_path).confidence is Confidence.NO
    fake = tmp_path / "fake.index"
    fake.write_bytes(b"not a table at all" * 10)
    assert FORMAT.probe(fake).confidence is not Confidence.CERTAIN
    with pytest.raises(DamagedFileError):
        FORMAT.open(fake)
    with pytest.raises(PathNotFoundError):
        FORMAT.open(tmp_path / "missing")


def test_other_tables_are_no_bundles(corpus: Path, tmp_path: Path) -> None:
    old = next((corpus / "srv_v1_sharded_export").rglob("export-00000-of-00001"))
    assert FORMAT.probe(old).confidence is Confidence.NO
    (tmp_path / "other").write_bytes(builders.table_of([(b"key", b"value")]))
    assert FORMAT.probe(tmp_path / "other").confidence is Confidence.NO
    (tmp_path / "none").write_bytes(builders.table_of([]))
    assert FORMAT.probe(tmp_path / "none").confidence is Confidence.NO


# Regions


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Checkpoint, Sample]]]:
    """Open checkpoints of all layouts, to read regions from."""
    samples = [
        each(tmp_path_factory.mktemp(each.__name__))
        for each in (odd_shapes, strings, partitioned, big_endian, big_endian_partitioned)
    ]
    opened = [(open_(sample.path), sample) for sample in samples]
    yield opened
    for checkpoint, _ in opened:
        checkpoint.close()


def bounds(size: int) -> st.SearchStrategy[slice]:
    edge = st.none() | st.integers(-size - 2, size + 2)
    return st.builds(slice, edge, edge)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_regions_are_numpys(readable: list[tuple[Checkpoint, Sample]], data: st.DataObject) -> None:
    checkpoint, sample = data.draw(st.sampled_from(readable))
    key = data.draw(st.sampled_from(sorted(sample.values)))
    expected = sample.values[key]
    rank = data.draw(st.integers(0, expected.ndim))
    region = tuple(data.draw(bounds(size)) for size in expected.shape[:rank])
    assert_same(checkpoint.read(checkpoint[key], region), expected[(*region, ...)])


def test_threads_share_a_checkpoint_while_it_is_released(
    readable: list[tuple[Checkpoint, Sample]],
) -> None:
    def check(number: int) -> None:
        checkpoint, sample = readable[number % len(readable)]
        keys = sorted(sample.values)
        for key in keys[number % 7 :: 3]:
            assert_same(checkpoint.read(checkpoint[key]), sample.values[key])
            if number % 4 == 0:
                checkpoint.release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(24)))


# Files that change


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    values = np.arange(40, dtype=np.float32).reshape(4, 10)
    return save(tmp_path / "live", {"a": values, "b": values + 1})


def rewrite(file: Path, content: bytes) -> None:
    """As another save does it; the time of change moves on even where the clock is coarse."""
    before = file.stat().st_mtime_ns
    file.write_bytes(content)
    os.utime(file, ns=(before + 10**9, before + 10**9))


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("read_before", [False, True])
@pytest.mark.parametrize("region", [None, (slice(1, 2), slice(2, 5))], ids=["whole", "region"])
def test_a_data_file_that_is_written_again_is_noticed(
    changing: Path, released: bool, read_before: bool, region: tuple | None
) -> None:
    """Even if nothing had been read of it before: its values belong to another save."""
    file = data_file(changing)
    with open_(changing) as checkpoint:
        if read_before:
            checkpoint.read(checkpoint["a"])
        if released:
            checkpoint.release()
        rewrite(file, bytes(byte ^ 1 for byte in file.read_bytes()))
        with pytest.raises(ChangedFileError):
            checkpoint.read(checkpoint["a"], region)
        with pytest.raises(ChangedFileError):
            list(checkpoint.chunks(checkpoint["b"]))


def test_a_data_file_that_is_cut_under_us_is_noticed(changing: Path) -> None:
    with open_(changing) as checkpoint:
        checkpoint.read(checkpoint["a"])
        os.truncate(data_file(changing), 170)
        for key in ("a", "b"):
            with pytest.raises(ChangedFileError):
                checkpoint.read(checkpoint[key])


@pytest.mark.parametrize("read_before", [False, True])
def test_a_data_file_that_vanishes_is_told(changing: Path, read_before: bool) -> None:
    with open_(changing) as checkpoint:
        if read_before:
            checkpoint.read(checkpoint["a"])
            checkpoint.release()
        data_file(changing).unlink()
        with pytest.raises((ChangedFileError, DamagedFileError)) as caught:
            checkpoint.read(checkpoint["a"])
        assert str(data_file(changing)) in str(caught.value)
        assert caught.value.remedy


def test_an_index_that_vanishes_between_probe_and_open(changing: Path) -> None:
    match = FORMAT.probe(changing)
    Path(f"{changing}.index").unlink()
    with pytest.raises(PathNotFoundError):
        FORMAT.open(match.path)
