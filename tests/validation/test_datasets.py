"""Validation data is looked at without TensorFlow, and what is wrong is found before a run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.resources import resource
from ckptviewer.storage.byte_source import MemoryBytes
from ckptviewer.validation.data_fit import check_inputs
from ckptviewer.validation.datasets import (
    BadDataError,
    Dataset,
    describe,
    inspect_data,
    kind_of,
)
from ckptviewer.validation.features import guessed_features
from ckptviewer.validation.plain import to_plain
from ckptviewer.validation.protocol import DataKind, DataSpec, Feature, SignatureInfo, TensorInfo
from ckptviewer.validation.tfrecords import FoundFeature, features_of, read_records
from ckptviewer.validation.worker import records
from ckptviewer.validation.worker.model import Model, Signature, Tensor
from tests import builders  # noqa: F401 - TensorFlow, quietly

tf = pytest.importorskip("tensorflow")
PNG = b"\x89PNG"


def look(*paths: Path, **options: object) -> Dataset:
    texts = tuple(map(str, paths))
    return inspect_data(DataSpec(kind=kind_of(texts), paths=texts, **options))  # type: ignore[arg-type]


def codes(data: Dataset) -> set[str]:
    return {finding.code for finding in data.findings}


def signature(*inputs: tuple[str, str, tuple[int | None, ...] | None]) -> SignatureInfo:
    return SignatureInfo(
        name="s", inputs=tuple(TensorInfo(name=n, dtype=d, shape=s) for n, d, s in inputs)
    )


PICTURE = signature(("picture", "float32", (None, 8, 8, 1)))


def test_the_demos_data() -> None:
    data = look(resource("demo/digits-validation.npz"))
    assert data.kind is DataKind.NPZ
    assert data.count == 360
    assert data.target == "y"
    assert data.by_key["x"].shape == (8, 8, 1)
    assert data.by_key["y"].dtype == "int64"
    assert data.sound
    assert check_inputs(data, DataSpec(kind=data.kind), PICTURE) == ()
    assert describe(data) == "360 examples: x float32[8, 8, 1], y int64[]"


def test_arrays_of_different_counts_and_single_values(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(4))
    assert codes(look(tmp_path / "a.npz")) == {"different-counts"}
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 2)), y=np.float32(1))
    assert codes(look(tmp_path / "b.npz")) == {"no-examples"}
    np.savez(tmp_path / "c.npz", x=np.zeros((0, 2)))
    assert not look(tmp_path / "c.npz").sound


def test_pickled_objects_are_told_and_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], object))
    assert "pickled-data" in codes(look(tmp_path / "a.npz"))


def test_npy_pairs(tmp_path: Path) -> None:
    np.save(tmp_path / "first.npy", np.zeros((5, 3), np.float32))
    np.save(tmp_path / "second.npy", np.zeros(5, np.int32))
    data = look(tmp_path / "first.npy", tmp_path / "second.npy")
    assert [column.key for column in data.columns] == ["x", "y"]
    assert (data.kind, data.count, data.target) == (DataKind.NPY, 5, "y")
    assert [column.key for column in look(tmp_path / "first.npy").columns] == ["x"]


def test_wrong_shapes_and_dtypes_are_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 8, 8)), y=np.zeros(3), t=np.array([b"a"] * 3))
    data = look(tmp_path / "a.npz")
    spec = DataSpec(kind=data.kind)

    def found(wanted: SignatureInfo, spec: DataSpec = spec) -> list[str]:
        return [finding.code for finding in check_inputs(data, spec, wanted)]

    assert found(PICTURE) == ["wrong-shape"]
    assert found(signature(("x", "float32", (None, 8, 8)))) == []
    assert found(signature(("x", "float32", None))) == []
    assert found(signature(("x", "float32", (None, None, 8)))) == []
    assert found(signature(("a", "float32", None), ("b", "float32", None))) == ["missing-input"] * 2
    mapped = DataSpec(kind=data.kind, inputs={"a": "t"})
    assert found(signature(("a", "float32", (None,))), mapped) == ["wrong-dtype"]
    (finding,) = check_inputs(data, spec, PICTURE)
    assert "[8, 8]" in finding.message
    assert "[8, 8, 1]" in finding.message


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b,label\n1,2.5,"x, y"\n-3,1e3,z\n')
    data = look(tmp_path / "a.csv")
    assert [(column.key, column.dtype) for column in data.columns] == [
        ("a", "float32"), ("b", "float32"), ("label", "string"),
    ]  # fmt: skip
    assert (data.count, data.target) == (2, "label")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n3,4\n")
    assert look(tmp_path / "b.csv").target == "b"
    assert codes(look(tmp_path / "b.csv", target="c")) == {"missing-target"}
    (tmp_path / "c.csv").write_text("a,b\n")
    assert not look(tmp_path / "c.csv").sound


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1\n", b"\xff\xfe\x00", b'a,b\n"' + b"x" * 200_000],
    ids=["short", "utf", "long"],
)
def test_what_is_no_csv(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(BadDataError):
        look(tmp_path / "a.csv")


def example(number: int) -> bytes:
    features = {
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 4)),
        "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[number, 300])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
        "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a"])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_records(path: Path, count: int = 3, compression: str = "") -> Path:
    with tf.io.TFRecordWriter(str(path), compression or None) as writer:
        for number in range(count):
            writer.write(example(number))
    return path


FEATURES = (
    FoundFeature("id", "int64", 2),
    FoundFeature("label", "int64", 1),
    FoundFeature("name", "string", 1),
    FoundFeature("x", "float32", 4),
)


def test_records(tmp_path: Path) -> None:
    data = look(write_records(tmp_path / "a.tfrecord"))
    assert (data.kind, data.count, data.target) == (DataKind.TFRECORD, 3, "label")
    assert {column.key: column.dtype for column in data.columns} == {
        feature.name: feature.dtype for feature in FEATURES
    }
    assert features_of(example(1)) == FEATURES
    assert look(write_records(tmp_path / "named_oddly", 2)).count == 2
    assert not look(write_records(tmp_path / "empty.tfrecord", 0)).sound


def bytes_feature(value: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


@pytest.mark.parametrize(
    ("shape", "dtype", "keys"),
    [
        ((None, 2, 2, 1), "float32", {"picture": "png"}),
        ((None, 2, 2, 1), "float32", {"picture": "raw"}),
        ((None, 2, 2, 1), "float32", {"picture": "flat"}),
        ((None, None, None, 3), "uint8", {"picture": "png"}),
        ((None, 3), "int64", {"picture": "flat"}),
        ((None,), "string", {"picture": "png"}),
        (None, "float32", {"picture": "flat"}),
        ((None, 4), "float32", {}),
    ],
)
def test_features_are_guessed_as_the_worker_does(
    shape: tuple[int | None, ...] | None, dtype: str, keys: dict[str, str], tmp_path: Path
) -> None:
    values = {
        "png": bytes_feature(PNG),
        "raw": bytes_feature(np.zeros(4, "f4").tobytes()),
        "flat": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 4)),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
    }
    whole = tf.train.Example(features=tf.train.Features(feature=values))
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(whole.SerializeToString())
    data = look(tmp_path / "a.tfrecord")
    name = "picture" if keys else "flat"
    ours = guessed_features(data, [TensorInfo(name=name, dtype=dtype, shape=shape)], keys)
    model = Model()
    model.signature = Signature("", (Tensor(name, dtype, shape),), ())
    theirs = records._guessed(whole, {"inputs": keys, "target": ""}, model)
    assert [to_plain(each) for each in ours] == [{**e, "shape": list(e["shape"])} for e in theirs]


def test_what_is_decoded_fits(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.tfrecord")
    data = look(path)

    def wrong(spec: DataSpec, shape: tuple[int | None, ...], dtype: str = "float32") -> list[str]:
        taken = SignatureInfo(name="", inputs=(TensorInfo(name="in", dtype=dtype, shape=shape),))
        return [each.code for each in check_inputs(data, spec, taken)]

    spec = DataSpec(kind=DataKind.TFRECORD, paths=(str(path),), inputs={"in": "name"})
    assert wrong(spec, (None, 2, 2)) == [], "bytes are the tensor's own"
    given = Feature(name="name", dtype="float32", shape=(3, 2), encoded="raw")
    assert wrong(replace(spec, features=(given,)), (None, 2, 2)) == ["wrong-shape"]
    text = Feature(name="name", dtype="string")
    assert wrong(replace(spec, features=(text,)), (None, 2, 2)) == ["wrong-shape", "wrong-dtype"]
    assert wrong(replace(spec, inputs={}), (None,), "string") == [], "it takes whole examples"


def test_pictures_have_to_be_read_as_the_model_takes_them(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_bytes(PNG)
    data = look(tmp_path)
    for size, color, codes_ in (
        (None, "", []),
        ((8, 8), "grayscale", []),
        ((8, 9), "", ["wrong-shape"]),
        (None, "rgb", ["wrong-shape"]),
    ):
        spec = DataSpec(kind=DataKind.IMAGES, image_size=size, color=color)
        assert [each.code for each in check_inputs(data, spec, PICTURE)] == codes_


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_packed_records(compression: str, tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.tfrecord", compression=compression)
    data = look(path)
    assert data.compression == compression
    assert data.count is None
    assert codes(data) == {"compression"}
    assert look(path, compression=compression).sound


def test_damaged_records(tmp_path: Path) -> None:
    content = write_records(tmp_path / "a.tfrecord").read_bytes()
    for broken in (content[:-3], content[:5], content[:-40], b"\x01" + content[1:]):
        with pytest.raises(CkptviewerError):
            read_records(MemoryBytes(broken))
    flipped = bytearray(content)
    flipped[20] ^= 1
    with pytest.raises(CkptviewerError, match="checksum"):
        read_records(MemoryBytes(bytes(flipped)))


def test_a_record_that_is_no_example_has_no_features(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(b"hello")
    data = look(tmp_path / "a.tfrecord")
    assert (data.columns, data.count) == ((), 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_one_error(content: bytes) -> None:
    try:
        read_records(MemoryBytes(content))
    except CkptviewerError:
        return


@given(st.binary(max_size=80))
def test_any_bytes_are_an_example_or_none(content: bytes) -> None:
    found = features_of(content)
    assert found is None or all(feature.count >= 0 for feature in found)


def test_a_folder_of_images(tmp_path: Path) -> None:
    for name, count in (("cats", 3), ("dogs", 2), ("birds", 0)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.PNG").write_bytes(PNG)
        (tmp_path / name / "notes.txt").write_text("no picture")
    data = look(tmp_path)
    assert data.kind is DataKind.IMAGES
    assert data.classes == (("birds", 0), ("cats", 3), ("dogs", 2))
    assert data.count == 5
    assert codes(data) == {"empty-class"}
    assert describe(data) == "5 examples of 3 classes"
    named = look(tmp_path, class_names=("cats", "cows", "dogs"))
    assert codes(named) == {"missing-class", "unnamed-class"}
    (birds,) = [each for each in named.findings if each.code == "unnamed-class"]
    assert "birds" in birds.message
    assert look(tmp_path, class_names=("dogs", "cats", "birds")).sound
    (tmp_path / "flat").mkdir()
    assert "no-classes" in codes(look(tmp_path / "flat"))


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadDataError, match="no npz"):
        look(tmp_path / "text")
    with pytest.raises(BadDataError):
        kind_of(())
    with pytest.raises(BadDataError):
        inspect_data(DataSpec(kind=DataKind.NPZ))
    with pytest.raises(CkptviewerError):
        inspect_data(DataSpec(kind=DataKind.NPZ, paths=(str(tmp_path / "text"),)))


def test_random_input_needs_nothing() -> None:
    data = inspect_data(DataSpec(kind=DataKind.RANDOM, batch_size=7))
    assert data.count == 7
    assert data.sound


def test_it_takes_no_tensorflow() -> None:
    code = (
        "import sys; from ckptviewer.validation import validating, datasets, report, history;"
        "assert not {'tensorflow', 'keras', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
