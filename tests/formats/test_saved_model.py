"""SavedModels: the contract, what their graphs tell, and damage. TensorFlow is the oracle."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    PathNotFoundError,
    TruncatedFileError,
    UnknownVariableError,
)
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.registry import Confidence
from ckptviewer.formats.saved_model import SavedModelFormat
from ckptviewer.formats.saved_model_meta import read_model_graphs
from ckptviewer.formats.saved_model_text import parse_text
from ckptviewer.storage.byte_source import MemoryBytes
from tests.formats.contract import FormatContract, Sample, assert_same, copied_from_corpus

FORMAT = SavedModelFormat()
DATA = "variables/variables.data-00000-of-00001"
KEY = "/.ATTRIBUTES/VARIABLE_VALUE"


def values_in(directory: Path) -> Mapping[str, np.ndarray]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    values = {}
    for key, dtype in reader.get_variable_to_dtype_map().items():
        value = reader.get_tensor(key)
        values[key] = np.asarray(value, object if dtype == tf.string else None)
    return values


def sample_in(directory: Path, path: Path | None = None) -> Sample:
    return Sample(
        directory=directory, path=path or directory, values=values_in(directory), data_files=(DATA,)
    )


def module(directory: Path) -> Path:
    """A module of TensorFlow 2: nested, with odd names, optimizer slots, two signatures."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(np.arange(12.0, dtype=np.float32).reshape(3, 4), name="k")
            self.frozen = tf.Variable([1, 2], name="frozen", trainable=False, dtype=tf.int64)
            self.layers = [tf.Variable([float(n)], name=f"layer_{n}") for n in range(11)]
            self.by_name = {"a/b": tf.Variable(1.5), "c.d": tf.Variable(2.5, trainable=False)}
            self.text = tf.Variable([b"x", b"yy"], name="text", trainable=False)
            self.nothing = tf.Variable(tf.zeros((0, 2)), name="nothing")

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def double(self, x):
            return {"y": tf.matmul(x, self.kernel), "n": tf.size(x)}

        @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="words")])
        def count(self, words):
            return {"n": tf.size(words)}

    model = Model()
    signatures = {"double": model.double, "count": model.count}
    tf.saved_model.save(model, str(directory), signatures=signatures)
    return directory


def keras_model(directory: Path) -> Path:
    """A model of Keras 3 with a normalization, exported with its weights."""
    import keras
    import tensorflow as tf

    inputs = keras.Input((5,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(3, name="first")(inputs))
    tf.saved_model.save(keras.Model(inputs, hidden), str(directory))
    return directory


def graph_model(directory: Path, *, as_text: bool = False, tags: tuple[str, ...] = ("serve",)):
    """A model of TensorFlow 1, with a frozen variable and a moving average."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    builder = tf1.saved_model.Builder(str(directory))
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, 2], "x")
        kernel = tf1.get_variable("dense/kernel", (2, 3))
        tf1.get_variable("frozen", (), trainable=False)
        average = tf.train.ExponentialMovingAverage(0.9)
        average.apply([kernel])
        tf1.train.create_global_step()
        session.run(tf1.global_variables_initializer())
        call = tf1.saved_model.predict_signature_def({"x": x}, {"y": tf.matmul(x, kernel)})
        builder.add_meta_graph_and_variables(
            session, list(tags), signature_def_map={"serving_default": call}
        )
        builder.add_meta_graph(["train", "gpu"], signature_def_map={"other": call})
    builder.save(as_text=as_text)
    return directory


def no_variables(directory: Path) -> Path:
    import tensorflow as tf

    tf1 = tf.compat.v1
    builder = tf1.saved_model.Builder(str(directory))
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.int32, [], "x")
        call = tf1.saved_model.predict_signature_def({"x": x}, {"y": x + 1})
        builder.add_meta_graph_and_variables(session, [], signature_def_map={"call": call})
    builder.save()
    shutil.rmtree(directory / "variables", ignore_errors=True)
    return directory


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "module": module,
    "keras": keras_model,
    "graph": graph_model,
    "text": lambda directory: graph_model(directory, as_text=True),
}
CORPUS = (
    "basicpitch_sm",
    "onx_regression_sm",
    "srv_sm_v2_half_plus_two/00000123",
    "tfjs_sm_int64",
    "tfx_sm_keras",
    "tfx_sm_2shard_assets",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a model by its builder's name; each is built once."""
    known: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in known:
            directory = tmp_path_factory.mktemp(name) / "model"
            known[name] = BUILDERS[name](directory)
        return known[name]

    return build


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=[*BUILDERS, *CORPUS])
    @classmethod
    def sample(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
        if request.param in BUILDERS:
            return sample_in(request.getfixturevalue("built")(request.param))
        directory = tmp_path_factory.mktemp("corpus")
        two = "2shard" in request.param
        return copied_from_corpus(
            request.getfixturevalue("corpus"),
            request.param,
            directory,
            path=".",
            values=values_in,
            data_files=("variables/variables.data-00001-of-00002",) if two else (DATA,),
        )

    def test_notices_files_that_were_replaced(self, copy: Sample) -> None:
        self._check_change(
            _only_last_shard(copy), lambda f: f.write_bytes(f.read_bytes()[::-1] + b"more")
        )

    def test_notices_files_that_were_deleted(self, copy: Sample) -> None:
        self._check_change(_only_last_shard(copy), Path.unlink)


def _only_last_shard(sample: Sample) -> Sample:
    """Of a model with two shards, the values of the second one."""
    if DATA in sample.data_files:
        return sample
    with FORMAT.open(sample.path) as checkpoint:
        values = {k: v for k, v in sample.values.items() if checkpoint[k].shard == 1}
    assert values
    return Sample(
        directory=sample.directory, path=sample.path, values=values, data_files=sample.data_files
    )


# What the graph tells


def test_variables_have_the_names_and_properties_of_the_model(built: Callable) -> None:
    with FORMAT.open(built("module")) as checkpoint:
        told = {v.key.removesuffix(KEY): (v.name, v.trainable) for v in checkpoint.variables}
    assert told == {
        "_CHECKPOINTABLE_OBJECT_GRAPH": ("_CHECKPOINTABLE_OBJECT_GRAPH", None),
        "kernel": ("k", True),
        "frozen": ("frozen", False),
        **{f"layers/{n}": (f"layer_{n}", True) for n in range(11)},
        "by_name/a.Sb": ("by_name/a/b", True),
        "by_name/c..d": ("by_name/c.d", False),
        "text": ("text", False),
        "nothing": ("nothing", True),
    }


@pytest.mark.parametrize(
    "folder", ["basicpitch_sm", "srv_sm_v2_half_plus_two/00000123", "tfjs_sm_int64", "tfx_sm_keras"]
)
def test_agrees_with_tensorflow_on_names_and_what_is_trained(corpus: Path, folder: str) -> None:
    """In these models the nodes of both graphs, the model's and the values', go in one order."""
    from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

    model = saved_model_pb2.SavedModel.FromString((corpus / folder / "saved_model.pb").read_bytes())
    nodes = model.meta_graphs[0].object_graph_def.nodes
    values = values_in(corpus / folder)["_CHECKPOINTABLE_OBJECT_GRAPH"].item()
    stored = trackable_object_graph_pb2.TrackableObjectGraph.FromString(values)
    names = [node.variable.name for node in nodes if node.HasField("variable")]
    compared = 0
    with FORMAT.open(corpus / folder) as checkpoint:
        for saved, node in zip(nodes, stored.nodes, strict=False):
            for attribute in node.attributes:
                if saved.HasField("variable") and attribute.name == "VARIABLE_VALUE":
                    variable = checkpoint[attribute.checkpoint_key]
                    if names.count(saved.variable.name) == 1:
                        assert variable.name == saved.variable.name
                    assert variable.trainable == saved.variable.trainable
                    compared += 1
        named = [variable.name for variable in checkpoint.variables]
        assert len(named) == len(set(named))
    assert compared == sum(node.HasField("variable") for node in nodes)


@pytest.mark.parametrize("name", ["graph", "text"])
def test_collections_tell_what_was_trained(built: Callable, name: str) -> None:
    with FORMAT.open(built(name)) as checkpoint:
        about = {v.key: (v.trainable, v.role, v.slot_of) for v in checkpoint.variables}
    assert about["dense/kernel"] == (True, Role.WEIGHT, None)
    assert about["frozen"][0] is False
    assert about["global_step"][:2] == (False, Role.COUNTER)
    average = about["dense/kernel/ExponentialMovingAverage"]
    assert average[1:] == (Role.MOVING_AVERAGE, "dense/kernel")


def test_facts_tell_tags_and_signatures(built: Callable) -> None:
    import tensorflow as tf

    with FORMAT.open(built("module")) as checkpoint:
        facts = checkpoint.facts
        assert checkpoint.written_by == f"TensorFlow {tf.__version__}"
    assert facts["Kind"] == "SavedModel of TensorFlow 2"
    assert facts["Tags"] == "serve"
    assert facts["Signature double"] == (
        "x: float32 [?, 3] → n: int32 [], y: float32 [?, 4]  (tensorflow/serving/predict)"
    )
    assert facts["Signature count"].startswith("words: string of any shape → n: int32 []")
    assert not any("init_op" in label for label in facts)
    fingerprint = tf.saved_model.experimental.read_fingerprint(str(built("module")))
    for number in (
        fingerprint.saved_model_checksum,
        fingerprint.graph_def_program_hash,
        fingerprint.signature_def_hash,
        fingerprint.saved_object_graph_hash,
        fingerprint.checkpoint_hash,
    ):
        assert f"{number:016x}" in facts["Fingerprint"]


@pytest.mark.parametrize("name", ["graph", "text"])
def test_several_meta_graphs_are_told_apart(built: Callable, name: str) -> None:
    with FORMAT.open(built(name)) as checkpoint:
        facts = checkpoint.facts
    assert facts["Kind"] == "SavedModel of TensorFlow 1"
    assert facts["Tags"] == "serve; train, gpu"
    assert facts["Meta graphs"] == "2"
    assert facts["Signature serving_default (serve)"] == (
        "x: float32 [?, 2] → y: float32 [?, 3]  (tensorflow/serving/predict)"
    )
    assert "Signature other (train, gpu)" in facts


def test_text_and_binary_tell_the_same(corpus: Path) -> None:
    """Every model of the corpus, written as text by TensorFlow's own messages."""
    from tensorflow.core.protobuf import saved_model_pb2

    for folder in CORPUS:
        data = (corpus / folder / "saved_model.pb").read_bytes()
        model = saved_model_pb2.SavedModel.FromString(data)
        text = text_format.MessageToString(model).encode()
        graphs = [read_model_graphs(MemoryBytes(form)) for form in (data, text)]
        for binary, spelt in zip(*graphs, strict=True):
            assert binary.tags == spelt.tags == tuple(model.meta_graphs[0].meta_info_def.tags)
            for name in ("signatures", "tensorflow_version", "trainable", "assets"):
                assert getattr(binary, name) == getattr(spelt, name)
            for key in values_in(corpus / folder):
                if binary.objects and spelt.objects:
                    assert binary.objects.variable(key) == spelt.objects.variable(key)


def test_tags_may_be_missing(tmp_path: Path) -> None:
    with FORMAT.open(graph_model(tmp_path / "untagged", tags=())) as checkpoint:
        assert checkpoint.facts["Tags"] == "none; train, gpu"
        assert "Signature serving_default (no tags)" in checkpoint.facts


def test_a_model_without_variables_opens(tmp_path: Path) -> None:
    model = no_variables(tmp_path / "constant")
    with FORMAT.open(FORMAT.probe(model).path) as checkpoint:
        assert list(checkpoint.variables) == []
        assert [(f.code, f.severity) for f in checkpoint.findings] == [("no-variables", "info")]
        assert "Signature call" in checkpoint.facts
        with pytest.raises(UnknownVariableError):
            checkpoint["any"]
        checkpoint.release()


def test_assets_are_told_and_missed(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "srv_sm_v2_half_plus_two" / "00000123"
    with FORMAT.open(folder) as checkpoint:
        assert checkpoint.facts["Assets"] == "foo.txt"
        assert checkpoint.findings == ()
    shutil.copytree(folder, tmp_path / "model", ignore=shutil.ignore_patterns("assets"))
    with FORMAT.open(tmp_path / "model") as checkpoint:
        (finding,) = checkpoint.findings
        assert (finding.code, finding.severity) == ("missing-asset", "warning")
        assert "foo.txt" in finding.message


# Paths


def test_the_file_means_its_directory(built: Callable) -> None:
    for name, file in (("module", "saved_model.pb"), ("text", "saved_model.pbtxt")):
        match = FORMAT.probe(built(name) / file)
        assert match.confidence is Confidence.CERTAIN
        assert match.path == built(name)


def test_a_file_of_another_name_is_recognised(built: Callable, tmp_path: Path) -> None:
    shutil.copytree(built("module"), tmp_path / "model")
    renamed = (tmp_path / "model" / "saved_model.pb").rename(tmp_path / "model" / "graph.bin")
    match = FORMAT.probe(renamed)
    assert (match.confidence, match.path) == (Confidence.CERTAIN, renamed)
    with FORMAT.open(renamed) as checkpoint:
        assert "kernel" + KEY in checkpoint.by_key
        assert "Signature double" in checkpoint.facts
    assert FORMAT.probe(tmp_path / "model").confidence is Confidence.NO


def test_other_protobufs_are_denied(corpus: Path, built: Callable) -> None:
    for path in (
        corpus / "tfx_estimator_2shard" / "model.ckpt-10000.meta",
        corpus / "srv_sm_v2_half_plus_two" / "00000123" / "fingerprint.pb",
        corpus / "tfx_estimator_2shard",
        built("module") / "variables",
    ):
        assert FORMAT.probe(path).confidence is Confidence.NO


def test_the_highest_version_is_opened(built: Callable, tmp_path: Path) -> None:
    for name in ("9", "0010", "2", "notes"):
        shutil.copytree(built("module"), tmp_path / name)
    (tmp_path / "99").mkdir()
    (tmp_path / "9999.tmp").mkdir()
    match = FORMAT.probe(tmp_path)
    assert match.confidence is Confidence.CERTAIN
    with FORMAT.open(match.path) as checkpoint:
        assert checkpoint.path == str(tmp_path / "0010")
        (finding,) = checkpoint.findings
        assert (finding.code, finding.severity) == ("several-versions", "info")
        assert "3 versions: 0010 was opened" in finding.message
        assert finding.message.endswith("9, 2.")
    with FORMAT.open(FORMAT.probe(tmp_path / "9").path) as checkpoint:
        assert checkpoint.findings == ()


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"no saved_model\.pb"):
        FORMAT.open(tmp_path)


# Damage


@pytest.fixture
def model(built: Callable, tmp_path: Path) -> Path:
    """A copy of a model, to be damaged."""
    shutil.copytree(built("module"), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kept", [0, 3, 200, 5000])
def test_without_its_graph_the_values_are_still_read(model: Path, kept: int) -> None:
    expected = values_in(model)
    os.truncate(model / "saved_model.pb", kept)
    match = FORMAT.probe(model)
    assert match.confidence is (Confidence.CERTAIN if kept >= 3 else Confidence.MAYBE)
    with FORMAT.open(match.path) as checkpoint:
        assert [f.code for f in checkpoint.findings] == ["damaged-saved-model"]
        for key, value in expected.items():
            assert_same(checkpoint.read(checkpoint[key]), value)


def test_without_its_graph_and_its_values_it_is_refused(model: Path) -> None:
    os.truncate(model / "saved_model.pb", 200)
    shutil.rmtree(model / "variables")
    with pytest.raises(TruncatedFileError, match=r"saved_model\.pb"):
        FORMAT.open(model)


def test_missing_values_are_told(model: Path) -> None:
    shutil.rmtree(model / "variables")
    with FORMAT.open(model) as checkpoint:
        assert list(checkpoint.variables) == []
        (finding,) = checkpoint.findings
        assert (finding.code, finding.severity) == ("missing-variables", "error")
        assert "17 variables" in finding.message


def test_a_damaged_index_leaves_the_signatures(model: Path) -> None:
    os.truncate(model / "variables" / "variables.index", 20)
    with FORMAT.open(model) as checkpoint:
        assert [f.code for f in checkpoint.findings] == ["damaged-index"]
        assert "Signature double" in checkpoint.facts


def test_a_damaged_fingerprint_is_told(model: Path) -> None:
    (model / "fingerprint.pb").write_bytes(b"\x08")
    with FORMAT.open(model) as checkpoint:
        assert [f.code for f in checkpoint.findings] == ["damaged-fingerprint"]


def test_a_graph_of_any_size_is_passed_over() -> None:
    """A file that ends within a graph of gigabytes costs no more than its other parts."""
    graph = b"\x12" + bytes((0x80, 0x80, 0x80, 0x40)) + bytes(128 << 20)  # graph_def
    info = b"\x0a\x09\x22\x05serve\x2a\x00"
    content = info + graph
    size = len(content)
    prefix = bytearray()
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    source = MemoryBytes(b"\x08\x01\x12" + bytes(prefix) + content)
    tracemalloc.start()
    try:
        (found,) = read_model_graphs(source)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert found.tags == ("serve",)


def nested(field: int, depth: int) -> bytes:
    """A message in a message, `depth` times."""
    content = b""
    for _ in range(depth):
        size, prefix = len(content), bytearray()
        while size > 0x7F:
            prefix.append(size & 0x7F | 0x80)
            size >>= 7
        content = bytes((field << 3 | 2, *prefix, size)) + content
    return content


def test_messages_nested_without_end_are_harmless() -> None:
    for deep in (nested(7, 20_000), nested(1, 20_000), b"\x3b" * 50_000):
        for field in (1, 4, 5, 6, 7):
            size = len(deep).to_bytes(3, "little")
            length = bytes((size[0] & 0x7F | 0x80, len(deep) >> 7 & 0x7F | 0x80, len(deep) >> 14))
            part = bytes((field << 3 | 2,)) + length + deep
            whole = len(part)
            length = bytes((whole & 0x7F | 0x80, whole >> 7 & 0x7F | 0x80, whole >> 14))
            source = MemoryBytes(b"\x08\x01\x12" + length + part)
            try:
                read_model_graphs(source)
            except DamagedFileError:
                pass


BAD_TEXTS = {
    "unbalanced": b"meta_graphs { meta_info_def { ",
    "closed twice": b"meta_graphs { } }",
    "deep": b"meta_graphs " + b"{ x " * 5000 + b"}" * 5000,
    "deep lists": b"meta_graphs { x: " + b"[" * 5000 + b"]" * 5000 + b"}",
    "wrong type": b"meta_graphs { meta_info_def: 7 }",
    "no UTF-8": b"meta_graphs { meta_info_def { tags: '\xff' } }",
    "unended string": b'meta_graphs { meta_info_def { tags: "serve } }',
    "number": b"saved_model_schema_version: " + b"9" * 10_000,
}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_texts_are_refused(text: bytes) -> None:
    with pytest.raises(DamagedFileError):
        parse_text(text)


def test_braces_in_strings_and_comments_are_no_braces() -> None:
    text = rb"""
    saved_model_schema_version: 1  # { graph_def {
    meta_graphs <
      graph_def { node { name: "}}}" attr { key: '\'}"' } } library { } }
      meta_info_def { tags: "a{\"}" stripped_op_list: { op { name: "x" } } tags: 'graph_def {' }
      saver_def { unknown: [1, 2] }
    >
    """
    (graph,) = parse_text(text).meta_graphs
    assert list(graph.meta_info_def.tags) == ['a{"}', "graph_def {"]


@pytest.fixture(scope="module")
def seeds(built: Callable) -> list[bytes]:
    binary = (built("module") / "saved_model.pb").read_bytes()
    text = (built("text") / "saved_model.pbtxt").read_bytes()
    small = b"meta_graphs { meta_info_def { tags: 'a' } signature_def { key: 's' } }"
    return [binary, binary, text[:3000], text[-3000:], small]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_only_our_own_errors_escape(
    tmp_path: Path, seeds: list[bytes], draw: st.DataObject
) -> None:
    data = bytearray(draw.draw(st.sampled_from(seeds)))
    for _ in range(draw.draw(st.integers(1, 5))):
        at = draw.draw(st.integers(0, max(0, len(data) - 1)))
        action = draw.draw(st.sampled_from(["set", "set", "cut", "insert", "drop"]))
        if action == "set" and data:
            data[at] = draw.draw(st.integers(0, 255))
        elif action == "cut":
            del data[at:]
        elif action == "insert":
            data[at:at] = draw.draw(st.sampled_from([b"\xff" * 9, b"{", b"}", b'"', b"<", b"["]))
        else:
            del data[at : at + draw.draw(st.integers(1, 9))]
    path = tmp_path / "saved_model.pb"
    path.write_bytes(data)
    FORMAT.probe(path)
    try:
        FORMAT.open(path).close()
    except CkptviewerError:
        pass
