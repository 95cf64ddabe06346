"""HDF5 below Keras: every layout that h5py writes, links that lead astray, and damage."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    NotACheckpointError,
    OpaqueVariableError,
    TruncatedFileError,
)
from ckptviewer.checkpoint.roles import Description
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.hdf5 import Contents, Hdf5File
from ckptviewer.formats.hdf5_checkpoint import Stored, variables_of
from ckptviewer.formats.hdf5_values import DatasetValues, stored_bytes
from ckptviewer.formats.keras_archive import KerasArchiveFormat
from ckptviewer.formats.keras_h5 import KerasH5Format
from ckptviewer.formats.keras_weights import KerasWeightsFormat
from ckptviewer.formats.registry import Confidence
from ckptviewer.storage.byte_source import LocalFile, MemoryBytes
from tests.formats.contract import assert_same, regions_of
from tests.formats.keras_files import values_of

RNG = np.random.default_rng(5)


def opened(path: Path) -> tuple[Hdf5File, Contents]:
    file = Hdf5File(LocalFile(path))
    return file, file.walk()


def check_against_h5py(path: Path) -> Contents:
    """Everything is listed, and read as h5py reads it: whole, by regions, by chunks."""
    file, contents = opened(path)
    expected = values_of(path)
    assert contents.datasets.keys() == expected.keys()
    assert [each for each in contents.findings if each.severity == "error"] == []
    for key, value in expected.items():
        dataset = contents.datasets[key]
        values = DatasetValues(file, dataset)
        assert dataset.shape == value.shape
        assert_same(values.read(), value)
        for region in regions_of(value.shape):
            assert_same(values.read(region), value[(*region, ...)])
        for size in (16, 4096) if value.size < 5000 else (4096,):
            pieces = [piece.copy() for piece in values.chunks(size)]
            assert sum(piece.size for piece in pieces) == value.size
            if pieces:
                assert_same(np.concatenate(pieces), value.reshape(-1))
    file.source.release()
    return contents


def numbers(file: h5py.File) -> None:
    for name in "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8".split():
        file[f"native/{name}"] = RNG.integers(0, 100, (5, 3)).astype(name)
        file[f"foreign/{name}"] = RNG.integers(0, 100, (5, 3)).astype(
            np.dtype(name).newbyteorder(">")
        )
    file["complex64"] = (RNG.normal(size=7) + 1j * RNG.normal(size=7)).astype(np.complex64)
    file["complex128"] = RNG.normal(size=(2, 2)) + 1j
    file["bool"] = RNG.integers(0, 2, 9).astype(bool)
    file["bfloat16"] = RNG.normal(size=(3, 4)).astype(ml_dtypes.bfloat16)
    file["bfloat16"].attrs["dtype"] = "bfloat16"


def shapes(file: h5py.File) -> None:
    file["scalar"] = np.float32(3.5)
    file["empty"] = np.empty((0, 4), np.float32)
    file["long"] = np.arange(70_000, dtype=np.int32)
    file["deep"] = RNG.normal(size=(2, 3, 4, 5, 6))
    file["large"] = RNG.normal(size=(300, 7, 501)).astype(np.float32)
    file.create_dataset("never written", (4, 5), "f4")
    file.create_dataset("filled", (4, 5), "i4", fillvalue=-7)
    file.create_group("group without anything")
    file["a/b/c/d/e/f"] = np.arange(3)
    for index in range(300):
        file[f"many/{index}"] = np.full(2, index, np.float32)


def strings(file: h5py.File) -> None:
    file["bytes"] = np.array([b"one", b"", b"three"], dtype=object)
    file.create_dataset(
        "text", data=["eins", "zwei \u00fc", "\u6f22\u5b57"], dtype=h5py.string_dtype()
    )
    file["fixed"] = np.array([[b"abc", b"d"], [b"", b"efgh"]])
    file["single"] = "a single one"


def chunked(file: h5py.File) -> None:
    data = RNG.integers(0, 5, (37, 23, 5)).astype(np.float32)
    file.create_dataset("plain", data=data, chunks=(8, 7, 5))
    file.create_dataset("gzip", data=data, chunks=(8, 7, 5), compression="gzip")
    file.create_dataset("shuffled", data=data, chunks=(8, 7, 2), compression="gzip", shuffle=True)
    file.create_dataset("checked", data=data, chunks=(10, 23, 5), fletcher32=True)
    file.create_dataset(
        "all", data=data, chunks=True, compression="gzip", shuffle=True, fletcher32=True
    )
    file.create_dataset("odd bytes", data=np.arange(9, dtype="u1"), chunks=(3,), fletcher32=True)
    file.create_dataset("zeros", data=np.zeros((64, 4)), chunks=(16, 4), fletcher32=True)
    file.create_dataset("foreign", data=data.astype(">f8"), chunks=(8, 7, 5), compression="gzip")
    file.create_dataset("growing", data=data, chunks=(8, 8, 5), maxshape=(None, 23, 5))
    file.create_dataset("many", data=np.arange(5000), chunks=(7,))
    holes = file.create_dataset("holes", (50, 50), "f4", chunks=(10, 10), fillvalue=2.5)
    holes[20:30, 5:17] = 1
    file.create_dataset("strings", data=[b"x", b"yy", b"zzz"], chunks=(2,))


def compact(file: h5py.File) -> None:
    for name, data in {"a": np.arange(6.0).reshape(2, 3), "b": np.int8(4)}.items():
        space = h5py.h5s.create_simple(np.shape(data)) if np.shape(data) else h5py.h5s.create(0)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(
            file.id, name.encode(), h5py.h5t.py_create(np.asarray(data).dtype), space, properties
        )
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.asarray(data))


def committed(file: h5py.File) -> None:
    file["type"] = np.dtype("f4")
    file.create_dataset("of that type", data=np.arange(5, dtype="f4"), dtype=file["type"])


EARLY, MIDDLE, LATE = ("earliest", "v108"), ("v108", "v108"), ("v110", "v114")


@pytest.mark.parametrize(
    ("write", "version"),
    [
        *((write, each) for write in (numbers, shapes, strings, compact) for each in (EARLY, LATE)),
        (shapes, MIDDLE),
        (chunked, EARLY),
        (chunked, MIDDLE),
    ],
)
def test_reads_what_h5py_writes(
    tmp_path: Path, write: Callable[[h5py.File], None], version: tuple[str, str]
) -> None:
    with h5py.File(tmp_path / "x.h5", "w", libver=version) as file:
        write(file)
    check_against_h5py(tmp_path / "x.h5")


@pytest.mark.parametrize("write", [shapes, strings, chunked])
def test_reads_behind_a_user_block(tmp_path: Path, write: Callable[[h5py.File], None]) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=1024) as file:
        write(file)
    check_against_h5py(tmp_path / "x.h5")


def test_chunks_of_the_newest_layouts_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(10,))
    file_, contents = opened(tmp_path / "x.h5")
    assert contents.datasets["x"].is_refused
    with pytest.raises(OpaqueVariableError, match="layout"):
        DatasetValues(file_, contents.datasets["x"]).read()


def test_reads_types_that_are_objects_of_their_own(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        committed(file)
    file_, contents = opened(tmp_path / "x.h5")
    values = DatasetValues(file_, contents.datasets["of that type"]).read()
    assert_same(values, np.arange(5, dtype="f4"))


@pytest.mark.parametrize("track_order", [False, True])
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_reads_attributes(tmp_path: Path, version: str, track_order: bool) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=version, track_order=track_order) as file:
        group = file.create_group("g", track_order=track_order)
        for index in range(30):  # more than a header takes: they go to a heap of their own
            group.attrs[f"number {index}"] = index
        group.attrs["text"] = "\u00fcber"
        group.attrs["long"] = "x" * 50_000
        group.attrs["names"] = [b"one", b"three"]
        group.attrs["fixed"] = np.bytes_(b"fixed")
        group.attrs["texts"] = np.array(["a", "bc"], dtype=object)
        group.attrs["float"] = np.array([[1.5, 2.5]], ">f8")
        group.attrs["nothing"] = h5py.Empty("f4")
        for index in range(100):
            group.create_group(f"sub {index}")
    file_, contents = opened(path)
    found = file_.attributes(contents.groups["g"])
    assert [found[f"number {index}"] for index in range(30)] == list(range(30))
    assert found["text"] == "\u00fcber"
    assert found["long"] == "x" * 50_000
    assert found["names"] == ["one", "three"]
    assert found["fixed"] == "fixed"
    assert found["texts"] == ["a", "bc"]
    assert found["float"] == [1.5, 2.5]
    assert "nothing" not in found
    assert contents.groups.keys() == {"", "g", *(f"g/sub {index}" for index in range(100))}


def test_counts_stored_bytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        chunked(file)
        file["contiguous"] = np.zeros((3, 4), np.float32)
        file.create_dataset("never written", (4, 5), "f4")
        stored = {
            name: item.id.get_storage_size() for name, item in file.items() if name != "strings"
        }
    file_, contents = opened(tmp_path / "x.h5")
    for key, size in stored.items():
        assert stored_bytes(file_, contents.datasets[key]) == size


# What is not for us


def test_plain_hdf5_is_told_from_keras(tmp_path: Path, corpus: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        shapes(file)
    for path in (tmp_path / "x.h5", *(corpus / "h5py_testfiles").glob("*.h5")):
        for format_ in (KerasH5Format(), KerasWeightsFormat(), KerasArchiveFormat()):
            match = format_.probe(path)
            assert match.confidence is Confidence.NO
            assert match.reason
        assert "not written by Keras" in KerasH5Format().probe(path).reason
        check_against_h5py(path)


def test_no_hdf5_at_all() -> None:
    with pytest.raises(NotACheckpointError):
        Hdf5File(MemoryBytes(bytes(5000)))
    with pytest.raises(NotACheckpointError):
        Hdf5File(MemoryBytes(b""))


def test_opaque_elements_have_no_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["compound"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
        file["void"] = np.zeros(3, "V5")
        file["half"] = np.zeros(3, ml_dtypes.bfloat16)  # without the attribute that says so
        file["reference"] = np.array([file.ref], h5py.ref_dtype)
        file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
    file_, contents = opened(tmp_path / "x.h5")
    assert contents.datasets["half"].type.dtype == "void16"
    assert len(contents.datasets) == 5
    for dataset in contents.datasets.values():
        with pytest.raises(OpaqueVariableError):
            DatasetValues(file_, dataset).read()
        with pytest.raises(OpaqueVariableError):
            list(DatasetValues(file_, dataset).chunks())


def test_unknown_filters_are_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(100), chunks=(10,), compression="lzf")
    file_, contents = opened(tmp_path / "x.h5")
    with pytest.raises(OpaqueVariableError, match="lzf"):
        DatasetValues(file_, contents.datasets["x"]).read()


# Links and files elsewhere


def test_links_are_told_and_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(3)
    for version in ("earliest", "latest"):
        path = tmp_path / f"{version}.h5"
        with h5py.File(path, "w", libver=version) as file:
            file["mine"] = np.arange(2)
            file["soft"] = h5py.SoftLink("/mine")
            file["dangling"] = h5py.SoftLink("/../../etc")
            file["outside"] = h5py.ExternalLink(str(secret), "/x")
            file["again"] = file["mine"]
            file["group/self"] = file["/"]
            file["group/up"] = file["group"]
        _, contents = opened(path)
        assert contents.datasets.keys() == {"mine", "again"}
        told = [each.message for each in contents.findings]
        assert {each.code for each in contents.findings} == {"link-not-followed"}
        for name in ("soft", "dangling", "outside", "group/self", "group/up"):
            assert any(name in message for message in told)


def test_values_in_other_files_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(80)))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("external", (10,), "f8", external=[(str(secret), 0, 80)])
        layout = h5py.VirtualLayout((10,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "x", (10,))
        file.create_virtual_dataset("virtual", layout)
    file_, contents = opened(tmp_path / "x.h5")
    for dataset in contents.datasets.values():
        assert dataset.is_refused
        with pytest.raises(OpaqueVariableError):
            DatasetValues(file_, dataset).read()


# Sizes that lie


def dataset_bytes(**arguments: object) -> bytes:
    with h5py.File.in_memory() as file:  # type: ignore[attr-defined]
        file.create_dataset("x", **arguments)  # type: ignore[arg-type]
        file.flush()
        return bytes(file.id.get_file_image())


def test_a_shape_that_nothing_was_written_for_takes_no_memory() -> None:
    data = dataset_bytes(shape=(1 << 40, 1 << 15), dtype="f8")
    file = Hdf5File(MemoryBytes(data))
    dataset = file.walk().datasets["x"]
    assert dataset.shape == (1 << 40, 1 << 15)
    assert "none of them were written" in dataset.problem
    with pytest.raises(DamagedFileError):
        DatasetValues(file, dataset).read()
    with pytest.raises(DamagedFileError):
        list(DatasetValues(file, dataset).chunks())


def test_chunks_that_were_never_written_take_no_memory() -> None:
    data = dataset_bytes(shape=(1 << 50,), dtype="f8", chunks=(1 << 20,))
    file = Hdf5File(MemoryBytes(data))
    dataset = file.walk().datasets["x"]
    with pytest.raises(DamagedFileError, match="more than the file could hold"):
        DatasetValues(file, dataset).read()


def test_a_shape_larger_than_what_is_stored_is_damage() -> None:
    data = dataset_bytes(data=np.arange(1000, dtype="i4"))
    at = data.index(struct.pack("<BBBB4xQ", 1, 1, 1, 0, 1000)[:8]) + 8
    damaged = data[:at] + struct.pack("<Q", 1 << 42) + data[at + 8 :]
    file = Hdf5File(MemoryBytes(damaged))
    with pytest.raises(DamagedFileError, match="4,000 are stored"):
        DatasetValues(file, file.walk().datasets["x"]).read()


def test_a_chunk_that_unpacks_to_more_than_it_says_is_damage() -> None:
    data = dataset_bytes(
        data=np.zeros(1 << 16, "u1"), chunks=(1 << 16,), compression="gzip", compression_opts=9
    )
    packed = zlib.compress(bytes(1 << 16), 9)
    assert data.count(packed) == 1
    longer = zlib.compress(bytes(1 << 15), 9).ljust(len(packed), b"\0")
    file = Hdf5File(MemoryBytes(data.replace(packed, longer)))
    with pytest.raises(DamagedFileError, match="not 65,536"):
        DatasetValues(file, file.walk().datasets["x"]).read()


def test_a_chunk_that_declares_too_much_is_refused_before_it_is_unpacked() -> None:
    data = dataset_bytes(
        data=np.zeros(1 << 20, "u1"),
        maxshape=(None,),
        chunks=(100 << 20,),
        compression="gzip",
        compression_opts=9,
    )
    assert len(data) < 1 << 20
    file = Hdf5File(MemoryBytes(data))
    values = DatasetValues(file, file.walk().datasets["x"])
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match="declares"):
        values.read()
    with pytest.raises(DamagedFileError, match="declares"):
        list(values.chunks())
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_rows_of_chunks_too_large_to_unpack_are_refused() -> None:
    data = dataset_bytes(
        data=np.zeros((1 << 14, 1 << 14), "u1"),
        chunks=(1 << 14, 1 << 12),
        compression="gzip",
    )
    file = Hdf5File(MemoryBytes(data))
    values = DatasetValues(file, file.walk().datasets["x"])
    with pytest.raises(DamagedFileError, match="at once"):
        next(iter(values.chunks()))
    part = values.read((slice(5), slice(7)))
    assert_same(part, np.zeros((5, 7), "u1"))


def test_large_compressed_values_come_in_pieces() -> None:
    data = dataset_bytes(shape=(100 << 20, 2), dtype="u1", chunks=(1 << 20, 2), fillvalue=7)
    file = Hdf5File(MemoryBytes(data))
    dataset = file.walk().datasets["x"]
    with pytest.raises(DamagedFileError, match="more than the file could hold"):
        DatasetValues(file, dataset).read()
    data = dataset_bytes(shape=(20 << 20, 2), dtype="u1", chunks=(1 << 20, 2), fillvalue=7)
    file = Hdf5File(MemoryBytes(data))
    values = DatasetValues(file, file.walk().datasets["x"])
    sizes = [piece.size for piece in values.chunks() if (piece == 7).all()]
    assert sum(sizes) == 40 << 20
    assert max(sizes) == 4 << 20


def test_datasets_that_share_one_large_index_end_in_time(tmp_path: Path) -> None:
    """Each is listed; their sizes are given up once the file was looked through several times."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("0", data=np.zeros(20_000, "u1"), chunks=(1,))
        for index in range(1, 2000):
            file.create_dataset(f"{index}", (20_000,), "u1", chunks=(1,))
    _, contents = opened(path)
    tree = contents.datasets["0"].layout.address
    data = bytearray(path.read_bytes())
    layout = struct.pack("<BBB", 3, 2, 2)
    at = 0
    while (at := data.find(layout, at)) >= 0:
        data[at + 3 : at + 11] = tree.to_bytes(8, "little")
        at += 11
    path.write_bytes(bytes(data))
    shared, contents = opened(path)
    assert {each.layout.address for each in contents.datasets.values()} == {tree}
    stored = {key: Stored(0, each) for key, each in contents.datasets.items()}
    described = {key: Description(key, Role.OTHER) for key in stored}
    started = time.process_time()
    variables = variables_of([shared], stored, described, [])
    assert time.process_time() - started < 20
    assert len(variables) == 2000
    assert {each.stored_bytes for each in variables} == {0, 20_000}


def test_a_dataset_of_very_many_names_is_cut_off(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.zeros(3)
        group = file.create_group("names")
        for index in range(11_000):
            group[f"{index}"] = file["x"]
    _, contents = opened(tmp_path / "x.h5")
    assert len(contents.datasets) < 10_100
    assert {each.code for each in contents.findings} == {"damaged-group"}


def test_a_wrong_checksum_is_damage() -> None:
    data = dataset_bytes(data=np.arange(500, dtype="i8"), chunks=(500,), fletcher32=True)
    stored = np.arange(500, dtype="i8").tobytes()
    file = Hdf5File(MemoryBytes(data.replace(stored, b"\1" + stored[1:])))
    with pytest.raises(DamagedFileError, match="checksum"):
        DatasetValues(file, file.walk().datasets["x"]).read()


def test_groups_nested_without_end_are_cut_off(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["/".join(["d"] * 400)] = np.arange(2)
        file["near"] = np.arange(2)
    _, contents = opened(tmp_path / "x.h5")
    assert "near" in contents.datasets
    assert {each.code for each in contents.findings} == {"damaged-group"}


def test_groups_that_share_a_node_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for name in ("a", "b"):
            for index in range(20):
                file[f"{name}/{index}"] = np.arange(2)
    file_, contents = opened(path)
    tables = [
        message.data[:8]
        for name in ("a", "b")
        for message in file_.metadata.messages(contents.groups[name])
        if message.kind == 17
    ]
    data = path.read_bytes().replace(tables[0], tables[1])
    damaged = Hdf5File(MemoryBytes(data)).walk()
    assert any("used twice" in each.message for each in damaged.findings)


# Damage


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Whole files, small enough to be damaged byte by byte."""
    directory = tmp_path_factory.mktemp("images")
    found = []
    for version in ("earliest", "latest"):
        path = directory / f"{version}.h5"
        with h5py.File(path, "w", libver=version) as file:
            strings(file)
            committed(file)
            file["a/b/c"] = np.arange(20)
            file["z"] = RNG.normal(size=(3, 4)).astype(">f4")
            file.create_dataset("gzip", data=np.arange(90), chunks=(9,), compression="gzip")
            file.attrs["text"] = "text"
            for index in range(20):
                file[f"many/{index}"] = np.full(2, index)
                file["many"].attrs[f"attribute {index}"] = index
        found.append(path.read_bytes())
    return found


def exercise(data: bytes) -> None:
    """List, describe and read everything; only our own errors may come of it."""
    try:
        file = Hdf5File(MemoryBytes(data))
        contents = file.walk()
    except CkptviewerError:
        return
    for address in contents.groups.values():
        try:
            file.attributes(address)
        except CkptviewerError:
            pass
    for dataset in contents.datasets.values():
        try:
            stored_bytes(file, dataset)
            if dataset.dense_bytes < 1 << 20:
                DatasetValues(file, dataset).read()
            for count, piece in enumerate(DatasetValues(file, dataset).chunks(1 << 16)):
                assert piece.size
                if count > 8:
                    break
        except CkptviewerError:
            pass


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), flips=st.integers(1, 12), cut=st.floats(0, 1))
def test_damage_ends_in_our_own_errors(
    images: list[bytes], seed: int, flips: int, cut: float
) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.choice(images))
    for _ in range(flips):
        at = chance.randrange(len(data))
        data[at] = chance.choice((0, 1, 255, 128, data[at] ^ 1 << chance.randrange(8)))
    if cut < 0.3:
        del data[int(len(data) * cut / 0.3) :]
    exercise(bytes(data))


def test_every_length_of_a_truncated_file_is_told(images: list[bytes]) -> None:
    data = images[0]
    for length in range(0, len(data), 61):
        try:
            contents = Hdf5File(MemoryBytes(data[:length])).walk()
        except (DamagedFileError, NotACheckpointError) as error:
            assert error.what  # noqa: PT017
        else:
            assert "truncated-shard" in {each.code for each in contents.findings}


def test_truncated_values_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["first"] = np.arange(100)
        file["last"] = np.arange(100_000)
    whole = path.read_bytes()
    file_ = Hdf5File(MemoryBytes(whole[:-1000]))
    contents = file_.walk()
    assert_same(DatasetValues(file_, contents.datasets["first"]).read(), np.arange(100))
    with pytest.raises(TruncatedFileError):
        DatasetValues(file_, contents.datasets["last"]).read()
