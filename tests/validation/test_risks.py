"""What a model would run is found without running it, and consents hold for its content only."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ckptviewer.checkpoint.errors import Cancelled, PathNotFoundError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.validation.approvals import Approvals
from ckptviewer.validation.protocol import ModelKind, ModelSpec
from ckptviewer.validation.risks import Level, Review, Risk, review_model


def review(kind: ModelKind, path: Path | str, **more: Any) -> Review:
    return review_model(ModelSpec(kind=kind, path=str(path), **more))


def by_code(found: Review) -> dict[str, Risk]:
    return {risk.code: risk for risk in found.risks}


# Graphs


@pytest.fixture(scope="module")
def risky_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel that reads and writes files, and calls Python, inside a function."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="path")])
        def read(self, path: Any) -> Any:
            tf.io.write_file(path, "x")
            return {"content": tf.io.read_file(path)}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def call(self, x: Any) -> Any:
            return {"y": tf.numpy_function(lambda each: each, [x], tf.float32)}

    path = tmp_path_factory.mktemp("risky") / "model"
    model = Model()
    tf.saved_model.save(model, str(path), {"read": model.read, "call": model.call})
    return path


def test_operations_in_functions_of_a_saved_model(risky_graph: Path) -> None:
    found = review(ModelKind.SAVED_MODEL, risky_graph)
    risks = by_code(found)
    assert risks["calls-python"].level is Level.CODE
    assert "PyFunc" in risks["calls-python"].places[0]
    assert risks["reads-files"].level is Level.FILES
    assert risks["reads-files"].places[0].startswith("ReadFile")
    assert risks["writes-files"].message == "Files are written by 1 operation."
    assert [risk.level for risk in found.risks] == sorted(
        (risk.level for risk in found.risks), key=list(Level).index
    )
    assert found.is_risky


def test_the_same_in_text(risky_graph: Path, tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    message.ParseFromString((risky_graph / "saved_model.pb").read_bytes())
    (tmp_path / "saved_model.pbtxt").write_text(text_format.MessageToString(message))
    binary = review(ModelKind.SAVED_MODEL, risky_graph)
    text = review(ModelKind.SAVED_MODEL, tmp_path)
    assert {code: risk.count for code, risk in by_code(text).items()} == {
        code: risk.count for code, risk in by_code(binary).items()
    }


@pytest.mark.parametrize(
    ("kind", "where", "codes"),
    [
        (ModelKind.SAVED_MODEL, "basicpitch_sm", {"checkpoint-files"}),
        (ModelKind.SAVED_MODEL, "tfx_sm_2shard_assets", {"checkpoint-files", "asset-tables"}),
        (ModelKind.META_GRAPH, "onx_regression_ckpt/model.meta", {"checkpoint-files"}),
        (
            ModelKind.META_GRAPH,
            "tfx_estimator_2shard/model.ckpt-10000.meta",
            {"checkpoint-files", "reads-files"},
        ),
    ],
)
def test_real_graphs(kind: ModelKind, where: str, codes: set[str], corpus: Path) -> None:
    found = review(kind, corpus / where)
    assert by_code(found).keys() == codes
    assert found.is_risky == ("reads-files" in codes)


def test_every_operation_that_writes_or_reads_exists_in_tensorflow() -> None:
    """Of names that TensorFlow does not know, a typo would never be noticed."""
    from tensorflow.python.framework import op_def_registry

    from ckptviewer.validation.graph_risks import RISKY

    known = {name for name in RISKY if op_def_registry.get(name) is not None}
    # Operations of other builds (GPU, TPU, older versions) cannot be looked up here.
    assert len(known) > 45
    assert {"ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "MatchingFiles"} <= known


def test_a_damaged_graph_is_unknown_and_not_harmless(tmp_path: Path, corpus: Path) -> None:
    data = (corpus / "basicpitch_sm" / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(data[: len(data) // 2])
    found = review(ModelKind.SAVED_MODEL, tmp_path)
    assert by_code(found)["not-looked-at"].level is Level.UNKNOWN
    assert found.is_risky


def message(*fields: tuple[int, bytes]) -> bytes:
    """A protobuf message of these fields, each shorter than 128 bytes or of two bytes' length."""
    made = b""
    for number, content in fields:
        length = len(content)
        size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
        made += bytes([number << 3 | 2]) + size + content
    return made


def saved_model(*nodes: bytes) -> bytes:
    return message((2, message((2, message(*((1, node) for node in nodes))))))


def test_of_two_operations_of_a_node_the_last_counts(tmp_path: Path) -> None:
    """So it is to protobuf: a harmless name in front hides nothing."""
    from tensorflow.core.protobuf import saved_model_pb2

    node = message((1, b"n"), (2, b"Const"), (2, b"PyFunc"), (1, b"m"))
    data = saved_model(node, message((2, b"ReadFile"), (2, b"Const")))
    read = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0].graph_def.node
    assert [(each.op, each.name) for each in read] == [("PyFunc", "m"), ("Const", "")]
    (tmp_path / "saved_model.pb").write_bytes(data)
    (risk,) = review(ModelKind.SAVED_MODEL, tmp_path).risks
    assert (risk.code, risk.places) == ("calls-python", ("PyFunc (m)",))


@pytest.mark.parametrize(
    ("start", "size"), [(b"x\nmeta_graphs { # ", ord("#")), (b"graph_def: ", ord(" "))]
)
def test_what_begins_as_text_hides_no_binary_graph(start: bytes, size: int, tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    begin = message((1, start.ljust(size, b"#")))
    data = begin + saved_model(message((1, b"n"), (2, b"PyFunc")))
    read = saved_model_pb2.SavedModel.FromString(data)
    assert read.meta_graphs[0].graph_def.node[0].op == "PyFunc"
    (tmp_path / "saved_model.pb").write_bytes(data)
    assert "calls-python" in by_code(review(ModelKind.SAVED_MODEL, tmp_path))


def test_a_field_beyond_all_fields_is_unknown_and_not_harmless(tmp_path: Path) -> None:
    """Its number cut to 32 bits would be that of a graph."""
    data = saved_model(message((2, b"PyFunc")))
    (tmp_path / "saved_model.pb").write_bytes(b"\x92\x80\x80\x80\x10" + data[1:])
    assert "not-looked-at" in by_code(review(ModelKind.SAVED_MODEL, tmp_path))


@pytest.mark.parametrize(
    "node",
    [
        'op: "PyFunc"',
        "op:'Py' \"Func\"",
        'op: "PyF\\x75nc"',
        'op : # "Const"\n "Py" # more\n "Fun\\143"',
        'name: "op: \'" op: "PyFunc" device: "\'"',
        'name: "\\"" op: "PyFunc" # "\n',
        "op\u2003:\x1f'Py'\xa0'Func'",
        "device: '" + "x" * 4_000_000 + "' op" + " " * 300_000 + ": 'PyFunc'",
    ],
)
def test_operations_in_text_as_protobuf_reads_them(node: str, tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    text = f"meta_graphs {{ graph_def {{ node {{ {node} }} node {{ op: 'Const' }} }} }}"
    read = text_format.Parse(text, saved_model_pb2.SavedModel())
    assert read.meta_graphs[0].graph_def.node[0].op == "PyFunc"
    (tmp_path / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    (risk,) = review(ModelKind.SAVED_MODEL, tmp_path).risks
    assert (risk.code, risk.count) == ("calls-python", 1)


@pytest.mark.parametrize(
    "node", ["name: \"op: 'PyFunc'\"", "# op: 'PyFunc'\n op: 'Const'", "shop: 'PyFunc'"]
)
def test_what_only_looks_like_an_operation_is_none(node: str, tmp_path: Path) -> None:
    text = f"meta_graphs {{ graph_def {{ node {{ {node} }} }} }}"
    (tmp_path / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    assert review(ModelKind.SAVED_MODEL, tmp_path).risks == ()


def test_text_that_is_too_long_to_be_looked_at_is_unknown(tmp_path: Path) -> None:
    text = "meta_graphs { graph_def { node { op #" + "x" * 5_000_000 + "\n : 'PyFunc' } } }"
    (tmp_path / "saved_model.pbtxt").write_text(text, encoding="utf-8")
    assert set(by_code(review(ModelKind.SAVED_MODEL, tmp_path))) == {"not-looked-at"}


# Keras


def archive(path: Path, config: Any) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return path


def model_with(*layers: Any) -> Any:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {"name": "model", "layers": list(layers)},
    }


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> Any:
    return {"module": module, "class_name": kind, "config": config, "registered_name": kind}


@pytest.mark.parametrize(
    ("inside", "code", "level", "place"),
    [
        (layer("Lambda", name="double"), "holds-code", Level.CODE, "Lambda 'double'"),
        (layer("TorchModuleWrapper"), "holds-pickle", Level.CODE, "TorchModuleWrapper"),
        (layer("TFSMLayer", filepath="/x"), "loads-model", Level.FILES, "TFSMLayer"),
        (layer("Mine", module="my.code"), "custom-objects", Level.CODE, "Mine"),
        (
            layer("pack>Mine", module=None),
            "custom-objects",
            Level.CODE,
            "",
        ),
        (
            layer("StringLookup", name="words", vocabulary="/etc/passwd"),
            "reads-files",
            Level.FILES,
            "StringLookup 'words' reads /etc/passwd",
        ),
        (
            {
                "class_name": "function",
                "config": "enable_unsafe_deserialization",
                "module": "keras",
            },
            "names-function",
            Level.CODE,
            "keras.enable_unsafe_deserialization",
        ),
        (
            layer("function") | {"config": "system", "module": "os"},
            "names-function",
            Level.CODE,
            "os.system",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_layers_that_run_more_than_layers(
    inside: Any, code: str, level: Level, place: str, tmp_path: Path
) -> None:
    path = archive(tmp_path / "m.keras", model_with(layer("Dense", units=3), inside))
    (risk,) = review(ModelKind.KERAS, path).risks
    assert (risk.code, risk.level, risk.count) == (code, level, 1)
    assert place in risk.places[0]


def test_a_lambda_as_keras_writes_it(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    for name in ("m.keras", "m.h5"):
        assert "holds-code" in by_code(review(ModelKind.KERAS, tmp_path / name)), name


def test_a_plain_keras_model_has_no_risks(corpus: Path) -> None:
    from ckptviewer.resources import resource

    assert review(ModelKind.KERAS, resource("demo/digits.keras")).risks == ()
    assert review(ModelKind.KERAS, corpus / "fer_hdf5" / "emotion_model.hdf5").risks == ()


def test_a_class_of_somebody_s_own(corpus: Path) -> None:
    path = corpus / "keras_nested_container" / "pre_pr22362_nested_container.keras"
    (risk,) = review(ModelKind.KERAS, path).risks
    assert risk.code == "custom-objects"
    assert "NestedDenseModel" in risk.places[0]


def test_without_safe_mode_it_is_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", model_with())
    assert "no-safe-mode" in by_code(review(ModelKind.KERAS, path, safe_mode=False))
    assert "WITHOUT safe mode" in review(ModelKind.KERAS, path, safe_mode=False).what_runs


@pytest.mark.parametrize("config", [[], "x", None, 3, {"class_name": 3}, {"class_name": "Lambda"}])
def test_configurations_that_are_none(config: Any, tmp_path: Path) -> None:
    review(ModelKind.KERAS, archive(tmp_path / "m.keras", config))
    (tmp_path / "n.keras").write_bytes(b"PK\x03\x04 and then nothing")
    assert review(ModelKind.KERAS, tmp_path / "n.keras").is_risky


def test_depth_without_end(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", [])
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "[" * 100_000)
    assert by_code(review(ModelKind.KERAS, path))["not-looked-at"].level is Level.UNKNOWN


def test_what_is_an_archive_and_hdf5_is_unknown(tmp_path: Path) -> None:
    """The name decides which of the two Keras loads, and which name it is depends on Keras."""
    import h5py

    risky, plain = model_with(layer("Lambda", name="x")), json.dumps(model_with())
    harmless = archive(tmp_path / "plain.keras", model_with()).read_bytes()
    with h5py.File(tmp_path / "behind.h5", "w", userblock_size=1024) as file:
        file.attrs["model_config"] = json.dumps(risky)
    data = (tmp_path / "behind.h5").read_bytes()
    (tmp_path / "behind.h5").write_bytes(harmless.ljust(1024, b"\0") + data[1024:])
    with h5py.File(tmp_path / "before.keras", "w") as file:
        file.attrs["model_config"] = plain
    with open(tmp_path / "before.keras", "ab") as file:
        file.write(archive(tmp_path / "risky.keras", risky).read_bytes())
    assert zipfile.is_zipfile(tmp_path / "before.keras")
    assert h5py.is_hdf5(tmp_path / "behind.h5")
    for name in ("before.keras", "behind.h5"):
        assert set(by_code(review(ModelKind.KERAS, tmp_path / name))) == {"not-looked-at"}, name


# Python


def test_the_file_of_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "nets.py"
    source.write_text("def make(): ...\n")
    for path in (f"{source}:make", "nets:make"):
        found = review(ModelKind.FACTORY, path, python_path=(str(tmp_path),))
        assert by_code(found)["runs-python"].places == (str(source),)
        assert found.digest
    elsewhere = review(ModelKind.FACTORY, "installed.package:make")
    assert elsewhere.digest == ""  # whose content cannot be known: asked each time
    assert "installed.package:make" in elsewhere.what_runs


def test_what_is_not_there(tmp_path: Path) -> None:
    for kind in (ModelKind.SAVED_MODEL, ModelKind.KERAS, ModelKind.META_GRAPH):
        with pytest.raises(PathNotFoundError):
            review(kind, tmp_path / "none")
    with pytest.raises(PathNotFoundError):
        review(ModelKind.FACTORY, f"{tmp_path / 'none.py'}:make")


def test_cancelled(risky_graph: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        review_model(ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(risky_graph)), token)


# Consents


def test_a_consent_is_for_the_content_only(tmp_path: Path) -> None:
    approvals = Approvals(tmp_path / "config" / "approvals.json")
    path = archive(tmp_path / "m.keras", model_with(layer("Lambda")))
    before = review(ModelKind.KERAS, path)
    assert not approvals.is_approved(before.digest)
    approvals.remember(before.digest, str(path))
    assert Approvals(tmp_path / "config" / "approvals.json").is_approved(before.digest)
    moved = path.rename(tmp_path / "moved.keras")
    assert approvals.is_approved(review(ModelKind.KERAS, moved).digest)
    archive(moved, model_with(layer("Lambda", name="other")))
    assert not approvals.is_approved(review(ModelKind.KERAS, moved).digest)


def test_a_consent_is_for_the_way_of_running_too(tmp_path: Path) -> None:
    source = tmp_path / "nets.py"
    source.write_text("def a(): ...\ndef b(): ...\n")
    path = archive(tmp_path / "m.keras", model_with())
    digests = {
        review(ModelKind.KERAS, path).digest,
        review(ModelKind.KERAS, path, safe_mode=False).digest,
        review(ModelKind.KERAS, path, custom_objects=str(source)).digest,
        review(ModelKind.FACTORY, f"{source}:a").digest,
        review(ModelKind.FACTORY, f"{source}:b").digest,
    }
    assert len(digests) == 5


def test_consents_can_be_taken_back_and_damage_means_none(tmp_path: Path) -> None:
    path = tmp_path / "approvals.json"
    approvals = Approvals(path)
    digest = "ab" * 32
    approvals.remember(digest, "m.keras")
    assert approvals.entries()[digest].model == "m.keras"
    approvals.forget(digest)
    assert approvals.entries() == {}
    with pytest.raises(ValueError, match="nothing to remember"):
        approvals.remember("", "m.keras")
    assert not approvals.is_approved("")
    for text in ("", "[]", '{"version": 1, "approvals": [1]}', '{"version": 9, "approvals": {}}'):
        path.write_text(text)
        assert approvals.entries() == {}
