"""npz and npy: the contract, the archive's rules, and damage. NumPy is the oracle."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    OpaqueVariableError,
    TruncatedFileError,
    UnreadableFileError,
)
from ckptviewer.formats.npz import NpzFormat
from ckptviewer.formats.registry import Confidence
from tests.formats.contract import FormatContract, Sample, assert_same

FORMAT = NpzFormat()


def as_expected(array: np.ndarray) -> np.ndarray:
    """What a Checkpoint gives for an array that NumPy read."""
    if array.dtype.kind in "SU":
        texts = [t.encode() if isinstance(t, str) else t for t in array.reshape(-1).tolist()]
        out = np.empty(array.size, object)
        out[:] = texts
        return out.reshape(array.shape)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape)


def loaded(path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: as_expected(archive[key]) for key in archive}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    names = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8"
    tensors = {f"d/{name}": rng.integers(0, 100, (3, 5, 2)).astype(name) for name in names.split()}
    return tensors | {
        "d/bool": rng.integers(0, 2, 9).astype(bool),
        "d/complex64": (rng.normal(size=(2, 3)) * 1j).astype(np.complex64),
        "d/complex128": rng.normal(size=(2, 3)) * 1j,
        "vars/10": np.arange(10),
        "vars/2": np.arange(2),
        "scalar": np.array(2.5),
        "empty": np.empty((0, 3), np.float32),
        "empty inside": np.empty((2, 0, 3), np.int16),
        "fortran": np.asfortranarray(rng.normal(size=(7, 11, 3))),
        "fortran large": np.asfortranarray(rng.normal(size=(300, 1001)).astype(np.float32)),
        "fortran empty": np.asfortranarray(np.empty((4, 0))),
        "big-endian": rng.normal(size=(6, 5)).astype(">f8"),
        "big-endian ints": rng.integers(0, 9, (6, 5)).astype(">i4"),
        "big-endian fortran": np.asfortranarray(rng.integers(0, 9, (6, 5, 4)).astype(">i2")),
        "bytes": np.array([[b"one", b""], [b"three\xff", b"4"]]),
        "text": np.array(["eins", "zw\u00f6lf", "\u6f22\u5b57", ""]),
        "text big-endian": np.array(["a", "\u6f22"]).astype(">U3"),
        "text scalar": np.array("alone"),
        "text empty": np.empty((0, 2), "U5"),
        "large": rng.normal(size=(500, 3, 701)).astype(np.float32),
        "\u00fcber": np.ones(3),
        "special": np.array([np.nan, -0.0, np.inf]),
    }


def stored(directory: Path) -> Sample:
    path = directory / "model.npz"
    np.savez(path, **arrays())
    return Sample(directory=directory, path=path, values=loaded(path), data_files=("model.npz",))


def deflated(directory: Path) -> Sample:
    path = directory / "model.weights"
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays())
    return Sample(directory=directory, path=path, values=loaded(path), data_files=(path.name,))


def single(directory: Path, array: np.ndarray) -> Sample:
    path = directory / "array.npy"
    np.save(path, array)
    values = {"arr_0": as_expected(np.load(path, allow_pickle=False))}
    return Sample(directory=directory, path=path, values=values, data_files=("array.npy",))


BUILDERS: dict[str, Callable[[Path], Sample]] = {
    "stored": stored,
    "deflated": deflated,
    "npy": lambda directory: single(directory, np.arange(60.0).reshape(3, 4, 5)),
    "npy_fortran": lambda directory: single(directory, arrays()["fortran"]),
    "npy_text": lambda directory: single(directory, arrays()["text"]),
    "npy_scalar": lambda directory: single(directory, np.array(7, ">i2")),
}


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=BUILDERS)
    @classmethod
    def sample(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
        return BUILDERS[request.param](tmp_path_factory.mktemp(request.param))


def npy(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True, **options)
    return file.getvalue()


def with_header(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("utf-8")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + data


def archive(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as file:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_an_archive_of_nothing_opens(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    assert FORMAT.probe(tmp_path / "none.npz").confidence is Confidence.CERTAIN
    with FORMAT.open(tmp_path / "none.npz") as checkpoint:
        assert list(checkpoint.variables) == []


def test_other_archives_are_denied(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.pt", {"model/data.pkl": b"x", "model/data/0": b"y"})
    assert FORMAT.probe(path).confidence is Confidence.NO
    path = archive(tmp_path / "model.keras", {"config.json": b"{}", "model.weights.h5": b"y"})
    assert FORMAT.probe(path).confidence is Confidence.NO


def test_an_archive_whose_first_member_is_no_array_is_perhaps_one(tmp_path: Path) -> None:
    path = archive(tmp_path / "a", {"about.txt": b"x", "w.npy": npy(np.ones(3)), "dir/": b""})
    assert FORMAT.probe(path).confidence is Confidence.MAYBE
    with FORMAT.open(path) as checkpoint:
        assert list(checkpoint.by_key) == ["w"]
        assert [each.code for each in checkpoint.findings] == ["not-arrays"]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_reads_every_version_of_the_header(tmp_path: Path, version: tuple[int, int]) -> None:
    (tmp_path / "a.npy").write_bytes(npy(np.arange(6.0).reshape(2, 3), version=version))
    with FORMAT.open(tmp_path / "a.npy") as checkpoint:
        assert_same(checkpoint.read(checkpoint["arr_0"]), np.arange(6.0).reshape(2, 3))


def test_reads_headers_of_python_2(tmp_path: Path) -> None:
    header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2L, 3L), }          \n"
    (tmp_path / "a.npy").write_bytes(with_header(header, bytes(12)))
    with FORMAT.open(tmp_path / "a.npy") as checkpoint:
        assert checkpoint["arr_0"].shape == (2, 3)


OPAQUE = {
    "object": np.array([{"a": 1}, None], object),
    "structured": np.zeros(3, [("x", "<f4"), ("y y", "<i8", (2, 2))]),
    "datetime64[ns]": np.zeros(2, "M8[ns]"),
    "timedelta64[D]": np.zeros(2, "m8[D]"),
    "void16": np.zeros(4, ml_dtypes.bfloat16),
    "float128": np.zeros(2, np.longdouble),
}


@pytest.mark.parametrize("dtype", OPAQUE)
@pytest.mark.parametrize("in_archive", [False, True])
def test_dtypes_without_values_are_listed_and_refused(
    tmp_path: Path, dtype: str, in_archive: bool
) -> None:
    array = OPAQUE[dtype]
    if dtype == "float128" and array.dtype.itemsize != 16:
        pytest.skip("long double has another size here")
    path = tmp_path / "a"
    if in_archive:
        archive(path, {"arr_0.npy": npy(array)})
    else:
        path.write_bytes(npy(array))
    with FORMAT.open(path) as checkpoint:
        variable = checkpoint["arr_0"]
        assert (variable.dtype, variable.shape) == (dtype, array.shape)
        (finding,) = checkpoint.findings
        assert finding.code == ("pickled-objects" if dtype == "object" else "unsupported-dtype")
        assert finding.variable == "arr_0"
        with pytest.raises(OpaqueVariableError):
            checkpoint.read(variable)
        with pytest.raises(OpaqueVariableError):
            list(checkpoint.chunks(variable))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "trap.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "trap.npz", a=np.array([Trap()], object))
    for name in ("trap.npy", "trap.npz"):
        with FORMAT.open(tmp_path / name) as checkpoint:
            for variable in checkpoint.variables:
                with pytest.raises(OpaqueVariableError):
                    checkpoint.read(variable)
    assert not (tmp_path / "sprung").exists()


BAD_HEADERS = {
    "code": "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1,)}",
    "nested": "(" * 4000,
    "signs": "-" * 4000 + "1",
    "no shape": "{'descr': '<f4', 'fortran_order': False}",
    "extra": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
    "float shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
    "huge number": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}",
    "huge shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
    "huge empty": "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904)}",
    "many axes": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 100 + ")}",
    "many empty texts": "{'descr': '|S0', 'fortran_order': False, 'shape': (4294967296,)}",
    "bad dtype": "{'descr': 'hello', 'fortran_order': False, 'shape': (1,)}",
    "empty": "",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_bad_headers_are_refused(tmp_path: Path, header: str) -> None:
    data = with_header(header, bytes(64))
    (tmp_path / "bad.npy").write_bytes(data)
    with pytest.raises(DamagedFileError) as caught:
        FORMAT.open(tmp_path / "bad.npy")
    assert str(tmp_path / "bad.npy") in str(caught.value)
    path = archive(tmp_path / "bad.npz", {"bad.npy": data, "good.npy": npy(np.ones(2))})
    with FORMAT.open(path) as checkpoint:
        assert [(f.code, f.variable) for f in checkpoint.findings] == [
            ("unreadable-variable", "bad")
        ]
        with pytest.raises(DamagedFileError):
            checkpoint.read(checkpoint["bad"])
        assert checkpoint.read(checkpoint["good"]).tolist() == [1, 1]


@pytest.mark.parametrize("version", [2, 3])
def test_absurd_header_lengths_are_refused(tmp_path: Path, version: int) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + bytes((version, 0)) + b"\xff\xff\xff\xff{}")
    with pytest.raises(DamagedFileError, match="its header is said to have 4,294,967,307 bytes"):
        FORMAT.open(tmp_path / "a.npy")


def test_a_shape_beyond_the_file_is_told_before_memory_is_taken(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000)}"
    (tmp_path / "a.npy").write_bytes(with_header(header, bytes(80)))
    with FORMAT.open(tmp_path / "a.npy") as checkpoint:
        assert [f.code for f in checkpoint.findings] == ["unreadable-variable"]
        with pytest.raises(TruncatedFileError):
            checkpoint.read(checkpoint["arr_0"])
        with pytest.raises(TruncatedFileError):
            list(checkpoint.chunks(checkpoint["arr_0"]))


def test_bytes_behind_an_array_are_told(tmp_path: Path) -> None:
    with (tmp_path / "two.npy").open("wb") as file:
        np.save(file, np.ones(2))
        np.save(file, np.zeros(3))
    with FORMAT.open(tmp_path / "two.npy") as checkpoint:
        assert [f.code for f in checkpoint.findings] == ["unused-bytes"]
        assert checkpoint.read(checkpoint["arr_0"]).tolist() == [1, 1]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_values_do_not_match_their_checksum(tmp_path: Path, method: int) -> None:
    array = np.random.default_rng(0).integers(0, 4, 4000)
    path = archive(tmp_path / "a.npz", {"a.npy": npy(array), "b.npy": npy(array)}, method)
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("a.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 35 + info.compress_size * 3 // 4] ^= 0x10
    path.write_bytes(data)
    with FORMAT.open(path) as checkpoint:
        with pytest.raises(DamagedFileError) as caught:
            checkpoint.read(checkpoint["a"])
        with pytest.raises(DamagedFileError):
            list(checkpoint.chunks(checkpoint["a"], 4096))
        if method == zipfile.ZIP_STORED:
            assert isinstance(caught.value, ChecksumError)
        assert_same(checkpoint.read(checkpoint["b"]), array)


def test_what_stands_before_the_cut_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, a=np.arange(100), b=np.arange(200), c=np.arange(300))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"b.npy") + 500])
    assert FORMAT.probe(path).confidence is Confidence.CERTAIN
    with FORMAT.open(path) as checkpoint:
        assert list(checkpoint.by_key) == ["a", "b"]
        assert_same(checkpoint.read(checkpoint["a"]), np.arange(100))
        assert checkpoint["b"].shape == ()
        with pytest.raises(TruncatedFileError):
            checkpoint.read(checkpoint["b"])
        assert [(f.code, f.variable) for f in checkpoint.findings] == [
            ("damaged-directory", None),
            ("unreadable-variable", "b"),
        ]


def test_repeated_names_are_told(tmp_path: Path) -> None:
    path = tmp_path / "twice.npz"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr("a.npy", npy(np.ones(1)))
        file.writestr("a.npy", npy(np.ones(2)))
    with FORMAT.open(path) as checkpoint:
        assert checkpoint["a"].shape == (2,) == loaded(path)["a"].shape
        assert [f.code for f in checkpoint.findings] == ["repeated-key"]


def test_encrypted_and_foreign_members_stay_with_their_reason(tmp_path: Path) -> None:
    path = archive(tmp_path / "odd.npz", {"a.npy": npy(np.ones(1))}, zipfile.ZIP_LZMA)
    with FORMAT.open(path) as checkpoint:
        (finding,) = checkpoint.findings
        assert "packed by method 14" in finding.message
        with pytest.raises(DamagedFileError, match="method 14"):
            checkpoint.read(checkpoint["a"])
    path = archive(tmp_path / "secret.npz", {"a.npy": npy(np.ones(1))})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with FORMAT.open(path) as checkpoint, pytest.raises(DamagedFileError, match="encrypted"):
        checkpoint.read(checkpoint["a"])


def bomb(path: Path, size: int) -> Path:
    """An archive of one member that unpacks to an array of `size` zero bytes."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}\n"
    head = with_header(header)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed, crc = packer.compress(head), zlib.crc32(head)
    zeros, left = bytes(1 << 20), size
    while left:
        step = min(left, len(zeros))
        packed += packer.compress(zeros[:step])
        crc = zlib.crc32(zeros[:step], crc)
        left -= step
    packed += packer.flush()
    total = len(head) + size
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(packed), total, 5, 0)
    local = b"PK\x03\x04" + fields + b"a.npy"
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + bytes(14) + b"a.npy"
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    path.write_bytes(local + packed + central + b"PK\x05\x06" + end)
    return path


def test_a_bomb_is_listed_and_read_in_pieces_but_never_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckptviewer.formats.npz._LARGEST_UNPACKED_BYTES", 64 << 20)
    size = (64 << 20) + 8
    path = bomb(tmp_path / "bomb.npz", size)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with FORMAT.open(path) as checkpoint:
            variable = checkpoint["a"]
            assert variable.shape == (size,)
            with pytest.raises(UnreadableFileError, match="packed bytes would fill"):
                checkpoint.read(variable)
            assert checkpoint.read(variable, (slice(0, 9),)).tolist() == [0] * 9
            chunks = checkpoint.chunks(variable)
            assert sum(next(chunks).size for _ in range(5)) == 5 * (4 << 20)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_member_cannot_claim_to_grow_beyond_what_deflate_can(tmp_path: Path) -> None:
    path = bomb(tmp_path / "lie.npz", 1000)
    data = bytearray(path.read_bytes())
    for at in (22, data.index(b"PK\x01\x02") + 24):
        data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with (
        FORMAT.open(path) as checkpoint,
        pytest.raises(DamagedFileError, match="cannot unpack to"),
    ):
        checkpoint.read(checkpoint["a"])


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.ones(9)), "b.npy": npy(np.ones(9))})
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = bytes(4)  # the second member's header is the first's
    path.write_bytes(data)
    with FORMAT.open(path) as checkpoint:
        for key in "ab":
            with pytest.raises(DamagedFileError, match="those of another member"):
                checkpoint.read(checkpoint[key])


def test_archives_behind_other_bytes_open(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.arange(5))})
    path.write_bytes(b"prefix" + path.read_bytes())
    with FORMAT.open(path) as checkpoint:
        assert checkpoint.read(checkpoint["a"]).tolist() == [0, 1, 2, 3, 4]


def test_characters_beyond_unicode_are_refused(tmp_path: Path) -> None:
    header = "{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}"
    (tmp_path / "a.npy").write_bytes(with_header(header, b"\xff\xff\xff\x7f"))
    with (
        FORMAT.open(tmp_path / "a.npy") as checkpoint,
        pytest.raises(DamagedFileError, match="Unicode"),
    ):
        checkpoint.read(checkpoint["arr_0"])


def seed(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        zipped.writestr("a.npy", npy(np.arange(12).reshape(3, 4)))
        zipped.writestr("b.npy", npy(np.array(["x", "yy"])))
        zipped.writestr("c.npy", npy(np.asfortranarray(np.ones((2, 3), ">f4"))))
    return file.getvalue()


SEEDS = [seed(zipfile.ZIP_STORED), seed(zipfile.ZIP_DEFLATED), npy(np.arange(9).reshape(3, 3))]


@st.composite
def mutated(draw: Callable) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        action = draw(st.sampled_from(["set", "set", "number", "cut", "insert", "drop"]))
        if action == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif action == "number":
            data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0\0\0\x80", bytes(4)]))
        elif action == "cut":
            del data[at:]
        elif action == "insert":
            data[at:at] = draw(st.sampled_from([b"9" * 20, b"(", b"'", b"PK\x03\x04", b"\0"]))
        else:
            del data[at : at + draw(st.integers(1, 9))]
    return bytes(data)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=mutated())
def test_only_our_own_errors_escape(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fuzzed.npz"
    path.write_bytes(data)
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
