"""What is not a checkpoint is named, with what to do about it; nothing is executed or unpacked."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import socket
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import PathNotFoundError, UnreadableFileError
from ckptviewer.formats.foreign import TABLE, identify, identify_directory


def zip_of(*names: str, size: int = 10) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, bytes(size))
    return buffer.getvalue()


def tar_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"
OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)

FILES: list[tuple[str, bytes, str, str]] = [
    ("model.pt", zip_of("archive/data.pkl", "archive/data/0"), "PyTorch checkpoint", "torch.load"),
    (
        "big.ckpt",
        zip_of("x/data.pkl", *(f"x/data/{i}" for i in range(300)), size=1000),
        "PyTorch checkpoint",
        "weights_only=True",
    ),
    ("jit.pt", zip_of("m/data.pkl", "m/constants.pkl"), "TorchScript", "torch"),
    ("old.pth", OLD_TORCH, "PyTorch checkpoint of the old kind", "torch.load"),
    ("raw.pkl", pickle.dumps({"a": 1}), "a pickle", "run any code"),
    ("p2.pkl", pickle.dumps({"a": 1}, protocol=2), "a pickle", "run any code"),
    ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite", "Open the checkpoint"),
    ("m.index", LFS, "Git LFS pointer", "git lfs pull"),
    ("m.data", b"/annex/objects/SHA256E-s1--0\n", "git-annex pointer", "git annex get"),
    ("m.dvc", b"outs:\n- md5: 0\n  path: m\n", "DVC pointer", "dvc pull"),
    ("onnx.onnx", b"\x08\x07\x12\x07pytorch\x1a\x031.0", "ONNX", "made of"),
    ("no_suffix", b"\x08\x08\x12\x07tf2onnx\x1a\x031.0", "ONNX", "made of"),
    ("m.mlmodel", b"\x08\x04\x12\x02\x0a\x00", "Core ML", "made of"),
    ("saved_model.pb", b"\x08\x01\x12\x04\x0a\x02\x12\x00", "graph of a SavedModel", "variables"),
    ("m.gguf", b"GGUF\x03\0\0\0" + bytes(32), "GGUF", "made of"),
    ("a.tar.gz", gzip.compress(b"x" * 99, mtime=0), "gzip", "Unpack"),
    ("a.tar", tar_of("model.index"), "tar archive", "Unpack"),
    ("a.zip", zip_of("readme"), "a zip archive", "Unpack"),
    ("ckpt.zip", zip_of("m/model.ckpt-1.index"), "zip archive that holds a checkpoint", "Unpack"),
    ("sm.zip", zip_of("m/saved_model.pb"), "zip archive that holds a SavedModel", "Unpack"),
    ("k.keras", zip_of("config.json", "model.weights.h5"), "a Keras archive", "again"),
    ("w.docx", zip_of("[Content_Types].xml"), "Office document", "Open the checkpoint"),
    ("empty.zip", zip_of(), "zip archive without entries", "again"),
    ("a.xz", b"\xfd7zXZ\0\0\4", "xz", "Unpack"),
    ("a.bz2", b"BZh91AY", "bzip2", "Unpack"),
    ("a.zst", b"\x28\xb5\x2f\xfd\0", "zstd", "Unpack"),
    ("page.index", b"\n<!DOCTYPE html>\n<html>404</html>", "a web page", "download"),
    ("page2.h5", b"\xef\xbb\xbf<HTML><body>log in</body>", "a web page", "download"),
    ("denied", b'<?xml version="1.0"?><Error>AccessDenied</Error>', "XML", "server"),
    ("tokenizer.json", json.dumps({"a": [1, 2]}).encode(), "a JSON file", "no weights"),
    ("model.json", b'{"modelTopology": {}, "weightsManifest": []}', "TensorFlow.js", "no weights"),
    ("x.index.json", b'{"metadata": {}, "weight_map": {}}', "several files", "no weights"),
    ("config.json", b'{"class_name": "Sequential"}', "architecture of a Keras", "no weights"),
    ("notes.txt", "Grüße, 模型\n".encode() * 1000, "a text file", "Open the checkpoint"),
    ("utf16.txt", "hello".encode("utf-16"), "a text file", "Open the checkpoint"),
    ("nothing.index", b"", "an empty file", "broken off"),
    ("zeros.index", bytes(100_000), "nothing but zeros", "broken off"),
    ("p.png", b"\x89PNG\r\n\x1a\n" + bytes(8), "PNG image", "Open the checkpoint"),
    ("p.jpg", b"\xff\xd8\xff\xe0" + bytes(8), "JPEG image", "Open the checkpoint"),
    ("p.webp", b"RIFF\0\0\0\0WEBPVP8 ", "WebP image", "Open the checkpoint"),
    ("d.pdf", b"%PDF-1.7\n%\xff", "PDF", "Open the checkpoint"),
    ("d.sqlite", b"SQLite format 3\0" + bytes(80), "SQLite", "Open the checkpoint"),
    ("d.parquet", b"PAR1" + bytes(80), "Parquet", "Open the checkpoint"),
    ("flax.msgpack", b"\x81\xa6params\x80", "Flax", "safetensors"),
    ("lib.so", b"\x7fELF\2\1\1" + bytes(80), "program or library", "Open the checkpoint"),
    (
        "table",
        bytes(60) + struct.pack("<Q", 0xDB4775248B80FB57),
        "a table file of TensorFlow",
        "Open the checkpoint",
    ),
]


@pytest.mark.parametrize(("name", "data", "what", "remedy"), FILES, ids=[row[0] for row in FILES])
def test_a_file_is_named(tmp_path: Path, name: str, data: bytes, what: str, remedy: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    foreign = identify(file)
    assert foreign is not None
    assert what in foreign.what
    assert foreign.what.split()[0] in ("a", "an", "the")
    assert not foreign.what.endswith(".")
    assert remedy in foreign.remedy
    assert foreign.remedy.endswith(".")


class TestMadeByTheirOwnLibraries:
    def test_a_frozen_graph(self, tmp_path: Path) -> None:
        import tensorflow as tf

        graph = tf.Graph()
        with graph.as_default():
            tf.constant([1.0, 2.0], name="scope/weights")
        file = tmp_path / "frozen.pb"
        file.write_bytes(graph.as_graph_def().SerializeToString())
        foreign = identify(file)
        assert foreign is not None
        assert "GraphDef" in foreign.what
        assert "frozen from" in foreign.remedy

    def test_a_meta_graph(self, tmp_path: Path) -> None:
        import tensorflow as tf

        graph = tf.Graph()
        with graph.as_default():
            tf.constant([1.0, 2.0], name="scope/weights")
            tf.compat.v1.train.export_meta_graph(str(tmp_path / "m.meta"))
        foreign = identify(tmp_path / "m.meta")
        assert foreign is not None
        assert "MetaGraphDef" in foreign.what

    def test_records_and_events(self, tmp_path: Path) -> None:
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(tmp_path / "train.tfrecord")) as writer:
            writer.write(b"example")
        foreign = identify(tmp_path / "train.tfrecord")
        assert foreign is not None
        assert "TFRecord" in foreign.what
        tf.summary.create_file_writer(str(tmp_path / "logs")).close()
        (events,) = (tmp_path / "logs").iterdir()
        foreign = identify(events)
        assert foreign is not None
        assert "TensorBoard event file" in foreign.what
        directory = identify(tmp_path / "logs")
        assert directory is not None
        assert "TensorBoard" in directory.what

    def test_a_tensorflow_lite_model(self, tmp_path: Path) -> None:
        import tensorflow as tf

        function = tf.function(lambda x: x + 1.0).get_concrete_function(
            tf.TensorSpec([1], tf.float32)
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        (tmp_path / "m.bin").write_bytes(converter.convert())
        foreign = identify(tmp_path / "m.bin")
        assert foreign is not None
        assert "TensorFlow Lite" in foreign.what

    def test_a_pickle_of_arrays(self, tmp_path: Path) -> None:
        import numpy as np

        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": np.zeros(3)}))
        foreign = identify(tmp_path / "a.pkl")
        assert foreign is not None
        assert foreign.what == "a pickle of NumPy arrays"
        assert "as npz" in foreign.remedy

    def test_numpy_and_hdf5(self, tmp_path: Path) -> None:
        import h5py
        import numpy as np

        np.save(tmp_path / "a.npy", np.zeros(3))
        np.savez(tmp_path / "a.npz", a=np.zeros(3))
        with h5py.File(tmp_path / "plain.h5", "w") as file:
            file["a"] = np.zeros(3)
        with h5py.File(tmp_path / "block.h5", "w", userblock_size=1024) as file:
            file["a"] = np.zeros(3)
        found = {path.name: identify(path) for path in tmp_path.iterdir()}
        whats = {name: foreign.what for name, foreign in found.items() if foreign}
        assert whats == {
            "a.npy": "a NumPy array",
            "a.npz": "a NumPy archive",
            "plain.h5": "an HDF5 file in which no weights of Keras were found",
            "block.h5": "an HDF5 file in which no weights of Keras were found",
        }

    def test_the_corpus(self, corpus: Path) -> None:
        what = {
            path.name: foreign.what
            for path in corpus.rglob("*")
            if path.is_file() and (foreign := identify(path))
        }
        assert what["model.ckpt-10000.meta"] == "a TensorFlow graph without values (MetaGraphDef)"
        assert what["export.meta"].startswith("a TensorFlow graph")
        assert what["saved_model.pb"] == "the graph of a SavedModel"
        assert what["export-00000-of-00001"].startswith("a table file of TensorFlow")
        assert what["README.md"] == "a text file"
        assert what["variables.index"] == TABLE.what


class TestDirectories:
    @pytest.mark.parametrize(
        ("names", "what", "remedy"),
        [
            ([], "an empty directory", "Open a directory"),
            (["_CHECKPOINT_METADATA", "_METADATA", "d"], "Orbax", "Restore it with Orbax"),
            (["ocdbt.process_0", "manifest.ocdbt"], "Orbax", "Restore it with Orbax"),
            (["config.json", "pytorch_model.bin"], "PyTorch", "torch.load"),
            (["__0_0.distcp", ".metadata"], "distributed checkpoint of PyTorch", "torch.load"),
            (["Manifest.json", "Data", "coremldata.bin"], "Core ML", "made of"),
            (["model.json", "group1-shard1of2.bin"], "TensorFlow.js", "Open the checkpoint"),
            (["m.data-00000-of-00001"], "index is missing", "Copy the `.index`"),
            (["saved_model.pb", "assets"], "SavedModel without values", "variables"),
            (["events.out.tfevents.1.host"], "TensorBoard", "Open the directory"),
            (["a", "b"], "a directory without checkpoints", "Open the directory"),
        ],
    )
    def test_named_by_its_names(
        self, tmp_path: Path, names: list[str], what: str, remedy: str
    ) -> None:
        foreign = identify_directory(names)
        assert what in foreign.what
        assert remedy in foreign.remedy
        for name in names:
            (tmp_path / name).touch()
        assert identify(tmp_path) == foreign


class TestSafety:
    def test_a_pickle_is_not_executed(self, tmp_path: Path) -> None:
        trace = tmp_path / "executed"

        class Bomb:
            def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
                return os.mkdir, (str(trace),)

        data = pickle.dumps(Bomb())
        (tmp_path / "bomb.pkl").write_bytes(data)
        (tmp_path / "bomb.pt").write_bytes(zip_of("a/data.pkl") + data)
        assert identify(tmp_path / "bomb.pkl")
        assert identify(tmp_path / "bomb.pt")
        assert not trace.exists()

    def test_a_huge_file_takes_little_memory(self, tmp_path: Path) -> None:
        file = tmp_path / "huge.pt"
        file.write_bytes(zip_of("archive/data.pkl"))
        os.truncate(file, 1 << 40)
        tracemalloc.start()
        try:
            foreign = identify(file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert foreign is not None
        assert "PyTorch" in foreign.what
        assert peak < 4 << 20

    def test_pipes_and_sockets_do_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "s"))
            for name in ("pipe", "s"):
                foreign = identify(tmp_path / name)
                assert foreign is not None
                assert foreign.what == "a device, a pipe or a socket"

    def test_gone_or_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(PathNotFoundError) as gone:
            identify(tmp_path / "gone")
        assert gone.value.where == str(tmp_path / "gone")

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        (tmp_path / "file").write_bytes(b"x")
        monkeypatch.setattr("builtins.open", refuse)
        with pytest.raises(UnreadableFileError, match="Permission denied") as refused:
            identify(tmp_path / "file")
        assert refused.value.remedy

    def test_unknown_bytes_are_not_guessed(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(bytes(range(1, 256)) * 40)
        assert identify(tmp_path / "x") is None

    @given(
        start=st.sampled_from([b"", *sorted({row[1][:16] for row in FILES})]),
        rest=st.binary(max_size=300),
        suffix=st.sampled_from(["", ".onnx", ".mlmodel", ".msgpack", ".meta"]),
    )
    @example(start=b"\x0a", rest=b"", suffix="")
    @example(start=b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", rest=b"", suffix=".meta")
    @example(start=b"PK\x03\x04", rest=b"", suffix="")
    @example(start=b"\x80\x02", rest=b"", suffix="")
    @settings(deadline=None)
    def test_any_bytes(self, start: bytes, rest: bytes, suffix: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(start + rest)
            file.flush()
            foreign = identify(Path(file.name))
        assert foreign is None or (foreign.what and foreign.remedy)
