"""safetensors: the contract, the format's own rules, and damage. The library is the oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import load_file, save_file

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    OpaqueVariableError,
    TruncatedFileError,
)
from ckptviewer.formats.registry import Confidence
from ckptviewer.formats.safetensors import SafetensorsFormat
from tests.formats.contract import FormatContract, Sample, assert_same, copied_from_corpus

FORMAT = SafetensorsFormat()


_OF_ML_DTYPES = {
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}


def loaded(path: Path) -> dict[str, np.ndarray]:
    """What the library reads; its loader for NumPy does not know the dtypes of ml_dtypes."""
    values = {}
    with safe_open(path, "numpy") as oracle:
        for name, tensor in deserialize(path.read_bytes()):
            kind = _OF_ML_DTYPES.get(tensor["dtype"])
            if kind is None:
                values[name] = oracle.get_tensor(name)
            else:
                values[name] = np.frombuffer(tensor["data"], kind).reshape(tensor["shape"])
    return values


def written(directory: Path, tensors: dict[str, np.ndarray], **metadata: str) -> Sample:
    path = directory / "model.safetensors"
    save_file(tensors, path, metadata=metadata or None)
    return Sample(
        directory=directory, path=path, values=loaded(path), data_files=("model.safetensors",)
    )


def every_dtype(directory: Path) -> Sample:
    rng = np.random.default_rng(7)
    names = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 complex64"
    tensors = {f"d/{n}": rng.integers(0, 100, (3, 5, 2)).astype(n) for n in names.split()}
    for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        tensors[f"d/{np.dtype(kind).name}"] = rng.normal(size=(4, 3)).astype(kind)
    tensors["d/bool"] = rng.integers(0, 2, 9).astype(bool)
    return written(directory, tensors)


def odd_shapes(directory: Path) -> Sample:
    tensors = {
        "scalar": np.array(3.5, np.float32),
        "empty": np.empty((0, 4), np.float32),
        "empty inside": np.empty((3, 0, 2), np.int8),
        "vars/10": np.arange(10, dtype=np.int64),
        "vars/2": np.arange(2, dtype=np.int64),
        "odd": np.arange(77, dtype=np.uint8).reshape(7, 11),
        '\u00fcber/\u6f22\u5b57 "quoted" \\ {brace}': np.ones(3, np.float32),
        "not a number": np.array([np.nan, -0.0, np.inf], np.float32),
        "large": np.random.default_rng(3).normal(size=(300, 7, 501)).astype(np.float32),
    }
    return written(directory, tensors, format="pt", note='{"a": "b"}')


def no_tensors(directory: Path) -> Sample:
    return written(directory, {}, only="metadata")


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=["every_dtype", "odd_shapes", "silero"])
    @classmethod
    def sample(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
        directory = tmp_path_factory.mktemp(request.param)
        if request.param == "silero":
            name = "silero_vad_16k.safetensors"
            return copied_from_corpus(
                request.getfixturevalue("corpus"),
                "silero_safetensors",
                directory,
                path=name,
                values=loaded,
                data_files=(name,),
            )
        return globals()[request.param](directory)


def file_of(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    """A file with that header, whether or not it makes sense."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(start: int, stop: int, shape: list[int] | None = None, dtype: str = "U8") -> dict:
    return {
        "dtype": dtype,
        "shape": [stop - start] if shape is None else shape,
        "data_offsets": [start, stop],
    }


def codes(checkpoint) -> list[str]:
    return [each.code for each in checkpoint.findings]


def test_a_file_of_no_tensors_opens(tmp_path: Path) -> None:
    sample = no_tensors(tmp_path)
    with FORMAT.open(FORMAT.probe(sample.path).path) as checkpoint:
        assert list(checkpoint.variables) == []
        assert checkpoint.facts["Metadata: only"] == "metadata"
        assert checkpoint.findings == ()


def test_the_smallest_file_opens(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", b"{}")
    assert FORMAT.probe(path).confidence is Confidence.CERTAIN
    assert list(FORMAT.open(path).variables) == []


def test_metadata_become_facts(tmp_path: Path) -> None:
    with FORMAT.open(odd_shapes(tmp_path).path) as checkpoint:
        assert checkpoint.facts["Metadata: format"] == "pt"
        assert checkpoint.facts["Metadata: note"] == '{"a": "b"}'


def test_a_name_alone_does_not_make_it_one(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert FORMAT.probe(tmp_path / "a.safetensors").confidence is Confidence.MAYBE
    assert FORMAT.probe(tmp_path).confidence is Confidence.NO


@pytest.mark.parametrize("bits", [27, 60, 63, 64])
def test_absurd_header_lengths_are_refused_unread(tmp_path: Path, bits: int) -> None:
    path = file_of(tmp_path / "a.safetensors", {"a": entry(0, 1)}, b"x", length=(1 << bits) - 1)
    assert FORMAT.probe(path).confidence is Confidence.CERTAIN
    with pytest.raises(DamagedFileError, match="header is said to have"):
        FORMAT.open(path)


def test_a_header_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", {"a": entry(0, 1)}, length=5000)
    with pytest.raises(TruncatedFileError, match="header is said to end at byte 5,008"):
        FORMAT.open(path)


BAD_HEADERS = {
    "no JSON": b"{nothing}",
    "nothing": b"",
    "a list": b'[{"a": 1}]',
    "no brace first": b' {"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "text behind it": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}} x',
    "comma at the end": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},}',
    "no end": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}',
    "nested": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"more":{}}}',
    "deep list": b'{"a":{"dtype":"U8","shape":' + b"[" * 50_000 + b"}}",
    "deep object": b'{"a":' * 100_000,
    "twice": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},'
    b'"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "twice by escape": b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},'
    b'"\\u0061":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "field twice": b'{"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "half a surrogate": b'{"\\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "not UTF-8": b'{"\xff":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
    "no shape": b'{"a":{"dtype":"U8","data_offsets":[0,1]}}',
    "negative axis": b'{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}',
    "axis true": b'{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}',
    "axis 1.0": b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}',
    "offsets descend": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}',
    "one offset": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}}',
    "offset below 0": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}',
    "offset of 5000 digits": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,'
    + b"9" * 5000
    + b"]}}",
    "overflowing shape": b'{"a":{"dtype":"F64","shape":[4294967296,4294967296],'
    b'"data_offsets":[0,1]}}',
    "overflowing empty shape": b'{"a":{"dtype":"F64","shape":[0,4611686018427387904],'
    b'"data_offsets":[0,0]}}',
    "100 axes": b'{"a":{"dtype":"U8","shape":['
    + b",".join([b"1"] * 100)
    + b'],"data_offsets":[0,1]}}',
    "metadata no text": b'{"__metadata__":{"a":1}}',
    "metadata a number": b'{"__metadata__":7}',
    "metadata twice": b'{"__metadata__":{},"__metadata__":{}}',
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_bad_headers_are_refused(tmp_path: Path, header: bytes) -> None:
    path = file_of(tmp_path / "bad.safetensors", header, b"x")
    FORMAT.probe(path)
    with pytest.raises(DamagedFileError) as caught:
        FORMAT.open(path)
    assert str(path) in str(caught.value)


def test_truncation_names_the_variables_and_the_byte(tmp_path: Path) -> None:
    header = {"a": entry(0, 10), "b": entry(10, 20), "c": entry(20, 30)}
    path = file_of(tmp_path / "cut.safetensors", header, b"0123456789ABCDE")
    start = 8 + len(json.dumps(header))
    with FORMAT.open(path) as checkpoint:
        found = {each.variable: each for each in checkpoint.findings}
        assert found.keys() == {None, "b", "c"}
        assert found[None].code == "truncated-file"
        assert f"ends at byte {start + 15:,}" in found[None].message
        assert "2 variables" in found[None].message
        assert found["b"].code == "unreadable-variable"
        assert checkpoint.read(checkpoint["a"]).tobytes() == b"0123456789"
        with pytest.raises(DamagedFileError, match="its values end at byte"):
            checkpoint.read(checkpoint["b"])
        with pytest.raises(DamagedFileError):
            list(checkpoint.chunks(checkpoint["c"]))


def test_overlapping_tensors_are_refused_and_the_others_read(tmp_path: Path) -> None:
    header = {"a": entry(0, 10), "b": entry(5, 15), "c": entry(15, 20), "none": entry(12, 12)}
    path = file_of(tmp_path / "overlap.safetensors", header, bytes(20))
    with pytest.raises(SafetensorError):
        load_file(path)
    with FORMAT.open(path) as checkpoint:
        assert {each.variable for each in checkpoint.findings} == {"a", "b"}
        for key in "ab":
            with pytest.raises(DamagedFileError, match="too"):
                checkpoint.read(checkpoint[key])
        assert checkpoint.read(checkpoint["c"]).size == 5
        assert checkpoint.read(checkpoint["none"]).size == 0


def test_a_size_that_is_not_the_shapes_is_refused(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "a.safetensors", {"a": entry(0, 9, [2], "F32"), "b": entry(9, 10)}, bytes(10)
    )
    with FORMAT.open(path) as checkpoint:
        (finding,) = checkpoint.findings
        assert finding.variable == "a"
        with pytest.raises(DamagedFileError, match="needs 8 bytes, and 9 are stored"):
            checkpoint.read(checkpoint["a"])
        assert checkpoint.read(checkpoint["b"]).size == 1


@pytest.mark.parametrize(
    ("header", "size", "unused"),
    [
        ({"a": entry(0, 4), "b": entry(8, 12)}, 12, "4"),
        ({"a": entry(0, 4)}, 7, "3"),
        ({"a": entry(2, 4)}, 4, "2"),
    ],
)
def test_bytes_of_no_tensor_are_told(tmp_path: Path, header: dict, size: int, unused: str) -> None:
    path = file_of(tmp_path / "gap.safetensors", header, bytes(range(size)))
    with pytest.raises(SafetensorError):
        load_file(path)
    with FORMAT.open(path) as checkpoint:
        (finding,) = checkpoint.findings
        assert (finding.code, finding.severity) == ("unused-bytes", "warning")
        assert finding.message.startswith(f"{unused} bytes")
        low, high = header["a"]["data_offsets"]
        assert checkpoint.read(checkpoint["a"]).tolist() == list(range(low, high))


def test_dtypes_without_values_are_listed(tmp_path: Path) -> None:
    header = {
        "four": entry(0, 3, [6], "F4"),
        "scale": entry(3, 5, [2], "F8_E8M0"),
        "six": entry(5, 8, [4], "F6_E2M3"),
        "tomorrow": entry(8, 12, [2], "F16_OF_TOMORROW"),
    }
    path = file_of(tmp_path / "new.safetensors", header, bytes(12))
    with FORMAT.open(path) as checkpoint:
        assert codes(checkpoint) == []
        listed = [(v.key, v.dtype, v.shape, v.stored_bytes) for v in checkpoint.variables]
        assert listed[0] == ("four", "F4", (6,), 3)
        assert len(listed) == 4
        for variable in checkpoint.variables:
            with pytest.raises(OpaqueVariableError):
                checkpoint.read(variable)
            with pytest.raises(OpaqueVariableError):
                list(checkpoint.chunks(variable))


def test_a_large_header_takes_little_memory(tmp_path: Path) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    brackets = b'{"a":{"dtype":"U8","shape":[' + b"[]," * 3_000_000 + b"]}}"
    path = file_of(tmp_path / "bomb.safetensors", brackets)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFileError):
            FORMAT.open(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(brackets)
    finally:
        tracemalloc.stop()


def test_agrees_with_the_library_on_what_is_valid(tmp_path: Path) -> None:
    """What the library opens, opens here with equal values."""
    path = file_of(
        tmp_path / "spaced.safetensors",
        b'{ "b" : {"data_offsets":[4,6],"shape":[1],"dtype":"I16"} ,\n'
        b'"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]} }   ',
        np.float32(1.5).tobytes() + np.int16(-2).tobytes(),
    )
    with safe_open(path, "numpy") as oracle, FORMAT.open(path) as checkpoint:
        assert list(checkpoint.by_key) == sorted(oracle.keys())
        for key in oracle.keys():  # noqa: SIM118
            assert_same(checkpoint.read(checkpoint[key]), oracle.get_tensor(key))


SEED = b"".join(
    (
        (
            n := len(t := json.dumps({"a": entry(0, 8, [2], "F32"), "b": entry(8, 12)}).encode())
        ).to_bytes(8, "little"),
        t,
        bytes(range(12)),
    )
)


@st.composite
def mutated(draw: Callable, seed: bytes = SEED) -> bytes:
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        action = draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if action == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif action == "cut":
            del data[at:]
        elif action == "insert":
            data[at:at] = draw(st.sampled_from([b"9" * 20, b"[", b"{", b'"', b",", b"-", b"\0"]))
        else:
            del data[at : at + draw(st.integers(1, 9))]
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=mutated())
def test_only_our_own_errors_escape(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fuzzed.safetensors"
    path.write_bytes(data)
    FORMAT.probe(path)
    try:
        checkpoint = FORMAT.open(path)
    except CkptviewerError:
        return
    with checkpoint:
        for variable in checkpoint.variables:
            try:
                assert checkpoint.read(variable).nbytes <= len(data)
                list(checkpoint.chunks(variable))
            except CkptviewerError:
                pass
