"""Tiny checkpoints for tests: written by TensorFlow, or taken apart, changed and sealed again.

The tables here have a writer and a reader of their own, which share nothing with the package: what
they make wrong on purpose carries checksums that are right, and what they read is TensorFlow's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cramjam
import numpy as np
from crc32c import crc32c

from tests.varints import varint

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.core.protobuf import tensor_bundle_pb2

Header = tensor_bundle_pb2.BundleHeaderProto
Entry = tensor_bundle_pb2.BundleEntryProto
Pair = tuple[bytes, bytes]

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER_BYTES = 48

# Written by TensorFlow

SAVABLE = tuple(number for number in range(1, 34) if tf.as_dtype(number) != tf.resource)
"""The numbers of all dtypes that TensorFlow can save."""


def save(prefix: Path, tensors: Mapping[str | bytes, object]) -> Path:
    """The bundle `prefix` with these tensors, as `SaveV2` writes it; returns the prefix."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.convert_to_tensor(value) for value in tensors.values()],
    )
    return prefix


def save_slices(prefix: Path, slices: Sequence[tuple[str | bytes, str, object]]) -> Path:
    """Partitioned variables: name, `shape start,length:...` and values of each slice."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[name for name, _, _ in slices],
        shape_and_slices=[spec for _, spec, _ in slices],
        tensors=[tf.convert_to_tensor(value) for _, _, value in slices],
    )
    return prefix


def cut(name: str | bytes, values: np.ndarray, *edges: Sequence[int]) -> list[tuple]:
    """The slices of a variable that is cut at `edges` along its first axes, for `save_slices`."""
    slices: list[tuple] = [((), ())]
    for axis, size in enumerate(values.shape):
        marks = [0, *(edges[axis] if axis < len(edges) else ()), size]
        slices = [
            ((*box, slice(low, high)), (*texts, f"{low},{high - low}"))
            for box, texts in slices
            for low, high in pairwise(marks)
        ]
    shape = " ".join(map(str, values.shape))
    return [(name, f"{shape} {':'.join(texts)}", values[box]) for box, texts in slices]


def merge(prefix: Path, parts: Sequence[Path]) -> Path:
    """One bundle out of several, a shard each (or more), as a distributed training makes it."""
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(part) for part in parts],
        destination_prefix=str(prefix),
        delete_old_dirs=False,
    )
    return prefix


def sample_values(number: int, shape: tuple[int, ...] = (3, 4), seed: int = 0) -> tf.Tensor:
    """Values of the dtype `number`: all sorts of bit patterns, NaN and infinities included."""
    dtype = tf.as_dtype(number)
    rng = np.random.default_rng(seed + number)
    count = int(np.prod(shape))
    if dtype == tf.variant:
        return tf.raw_ops.EmptyTensorList(
            element_shape=-1, max_num_elements=3, element_dtype=tf.float32
        )
    if dtype == tf.string:
        texts = [rng.bytes(int(length)) for length in rng.integers(0, 40, count)]
        return tf.constant(texts, tf.string, shape)
    kind = np.dtype(dtype.as_numpy_dtype)
    if kind.names:  # NumPy sees quantised types as records of one field
        kind = kind[0]
    raw = np.frombuffer(rng.bytes(count * kind.itemsize), np.uint8)
    narrow = {"int4": 15, "uint4": 15, "int2": 3, "uint2": 3, "float4_e2m1fn": 15, "bool": 1}
    raw = raw & narrow.get(dtype.name, 255)
    if dtype.name in ("int4", "int2"):  # a byte an element, sign-extended
        half = 1 << (dtype.name == "int4") * 2 + 1
        raw = (raw.astype(np.int8) ^ half) - half
    return tf.constant(raw.view(kind).reshape(shape), dtype)


def values_in(prefix: Path) -> dict[str, np.ndarray]:
    """Everything that TensorFlow reads from the bundle; strings as object arrays of bytes."""
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    values = {}
    for key, dtype in dtypes.items():
        if dtype != tf.variant:
            value = reader.get_tensor(key)
            values[key] = np.asarray(value, object) if dtype == tf.string else np.asarray(value)
    return values


def listed_in(prefix: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of each key, as TensorFlow tells them."""
    dtypes = tf.train.load_checkpoint(str(prefix)).get_variable_to_dtype_map()
    return {
        key: (dtypes[key].name, tuple(shape)) for key, shape in tf.train.list_variables(str(prefix))
    }


# Tables


def masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def handle(offset: int, size: int) -> bytes:
    return varint(offset) + varint(size)


def block_of(pairs: Iterable[Pair], restart_interval: int = 16) -> bytes:
    """The content of a block: entries with shared prefixes, and restart points."""
    data, restarts, before = bytearray(), [], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart_interval == 0:
            restarts.append(len(data))
        else:
            shared = next(
                (n for n, (a, b) in enumerate(zip(before, key, strict=False)) if a != b),
                min(len(before), len(key)),
            )
        data += varint(shared) + varint(len(key) - shared) + varint(len(value))
        data += key[shared:] + value
        before = key
    for restart in restarts or [0]:
        data += restart.to_bytes(4, "little")
    return bytes(data) + len(restarts or [0]).to_bytes(4, "little")


def sealed(block: bytes, snappy: bool = False, kind: int | None = None) -> bytes:
    """A block as it stands in the file: compressed if wanted, its type, its checksum."""
    if snappy:
        block = bytes(cramjam.snappy.compress_raw(block))
    block += bytes((int(snappy) if kind is None else kind,))
    return block + masked(crc32c(block)).to_bytes(4, "little")


def footer(metaindex: bytes, index: bytes) -> bytes:
    return (metaindex + index).ljust(FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def table_of_blocks(
    blocks: Sequence[bytes],
    last_keys: Sequence[bytes] | None = None,
    *,
    snappy: bool = False,
    kind: int | None = None,
) -> bytes:
    """A table of these block contents, found by the last key of each (made up if not given)."""
    data, handles = bytearray(), []
    for number, block in enumerate(blocks):
        stored = sealed(block, snappy, kind)
        last = last_keys[number] if last_keys else b"\xff%08d" % number
        handles.append((last, handle(len(data), len(stored) - 5)))
        data += stored
    return finished(bytes(data), handles)


def finished(data: bytes, handles: Sequence[Pair]) -> bytes:
    """The table whose data blocks are `data`, with an index of these handles."""
    metaindex, index = sealed(block_of([])), sealed(block_of(handles, 1))
    first, second = len(data), len(data) + len(metaindex)
    return (
        data
        + metaindex
        + index
        + footer(handle(first, len(metaindex) - 5), handle(second, len(index) - 5))
    )


def table_of(pairs: Sequence[Pair], *, block_entries: int = 1000, snappy: bool = False) -> bytes:
    """A table of the pairs in the order given, so many to a block."""
    groups = [pairs[at : at + block_entries] for at in range(0, len(pairs), block_entries)]
    last_keys = [group[-1][0] for group in groups]
    return table_of_blocks([block_of(group) for group in groups], last_keys, snappy=snappy)


def pairs_in(table: bytes) -> list[Pair]:
    """All keys and values of a sound table."""
    _, _, offset, size = numbers_in(table[-FOOTER_BYTES:], 4)
    pairs: list[Pair] = []
    for _, value in pairs_in_block(table, offset, size):
        pairs += pairs_in_block(table, *numbers_in(value, 2))
    return pairs


def block_count(table: bytes) -> int:
    _, _, offset, size = numbers_in(table[-FOOTER_BYTES:], 4)
    return len(pairs_in_block(table, offset, size))


def numbers_in(data: bytes, count: int, position: int = 0) -> list[int]:
    """`count` varints from `position` on."""
    numbers = []
    for _ in range(count):
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers.append(value)
    return numbers


def pairs_in_block(table: bytes, offset: int, size: int) -> list[Pair]:
    """Keys and values of the block that lies there."""
    block = table[offset : offset + size]
    if table[offset + size] == 1:
        block = bytes(cramjam.snappy.decompress_raw(block))
    limit = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    pairs: list[Pair] = []
    position, key = 0, b""
    while position < limit:
        numbers = numbers_in(block, 3, position)
        shared, rest, length = numbers
        position += sum(len(varint(number)) for number in numbers)
        key = key[:shared] + block[position : position + rest]
        pairs.append((key, block[position + rest : position + rest + length]))
        position += rest + length
    return pairs


# Bundles, taken apart


@dataclass
class Bundle:
    """A bundle taken apart: change what you like, `seal` what should pass its checksum, write it.

    header and entries are TensorFlow's own messages; shards are the data files' bytes.
    """

    header: Header
    entries: dict[bytes, Entry]
    shards: list[bytearray] = field(default_factory=lambda: [bytearray()])

    @classmethod
    def empty(cls, shards: int = 1) -> Bundle:
        header = Header(num_shards=shards)
        header.version.producer = 1
        return cls(header, {}, [bytearray() for _ in range(shards)])

    @classmethod
    def of(cls, prefix: Path) -> Bundle:
        """The bundle of this prefix, taken apart."""
        (_, head), *rest = pairs_in(Path(f"{prefix}.index").read_bytes())
        header = Header.FromString(head)
        count = header.num_shards
        shards = [bytearray(data_file(prefix, n, count).read_bytes()) for n in range(count)]
        return cls(header, {key: Entry.FromString(value) for key, value in rest}, shards)

    def add(
        self, key: str | bytes, value: np.ndarray | bytes, dtype: int = 0, shard: int = 0
    ) -> Entry:
        """Store an array (or bytes, for a test to say what they are) under `key`."""
        entry = Entry(shard_id=shard, offset=len(self.shards[shard]))
        if isinstance(value, np.ndarray):
            entry.dtype = dtype or tf.as_dtype(value.dtype).as_datatype_enum
            for size in value.shape:
                entry.shape.dim.add(size=size)
            value = value.tobytes()
        else:
            entry.dtype = dtype or 4
        entry.size = len(value)
        entry.crc32c = masked(crc32c(value))
        self.shards[shard] += value
        self.entries[key.encode() if isinstance(key, str) else key] = entry
        return entry

    def stored(self, key: str | bytes) -> bytes:
        """The bytes of a tensor as they stand in its data file."""
        entry = self.entries[key.encode() if isinstance(key, str) else key]
        return bytes(self.shards[entry.shard_id][entry.offset : entry.offset + entry.size])

    def replace(self, key: str | bytes, data: bytes, crc: int | None = None) -> None:
        """Other bytes of the same length for a tensor, its checksum made to fit."""
        entry = self.entries[key.encode() if isinstance(key, str) else key]
        assert len(data) == entry.size
        self.shards[entry.shard_id][entry.offset : entry.offset + entry.size] = data
        entry.crc32c = masked(crc32c(data) if crc is None else crc)

    def pairs(self) -> list[Pair]:
        """Header and entries as an index holds them, in the order of their keys."""
        entries = [(key, entry.SerializeToString()) for key, entry in sorted(self.entries.items())]
        return [(b"", self.header.SerializeToString()), *entries]

    def write(self, prefix: Path, *, block_entries: int = 1000, snappy: bool = False) -> Path:
        """Write index and data files; returns the prefix."""
        table = table_of(self.pairs(), block_entries=block_entries, snappy=snappy)
        return self.write_with(prefix, table)

    def write_with(self, prefix: Path, index: bytes) -> Path:
        """Write the data files, and `index` as it is."""
        Path(f"{prefix}.index").write_bytes(index)
        for number, data in enumerate(self.shards):
            data_file(prefix, number, len(self.shards)).write_bytes(data)
        return prefix

    def to_big_endian(self) -> None:
        """What a big-endian machine would have written: each number's bytes turned round."""
        assert self.header.endianness == Header.LITTLE
        self.header.endianness = Header.BIG
        for key, entry in self.entries.items():
            dtype = tf.as_dtype(entry.dtype)
            if dtype == tf.variant or entry.slices:
                continue
            if dtype == tf.string:
                self.replace(key, *_string_bytes_turned(self.stored(key), entry))
            else:
                width = dtype.size // (2 if dtype.is_complex else 1)
                raw = np.frombuffer(self.stored(key), np.uint8).reshape(-1, width)
                self.replace(key, raw[:, ::-1].tobytes())


def _string_bytes_turned(stored: bytes, entry: Entry) -> tuple[bytes, int]:
    """Stored bytes and crc of a string tensor as a big-endian machine writes them.

    Only the checksum of the lengths is a number; it goes over the lengths as that machine has them.
    """
    lengths = numbers_in(stored, int(np.prod([dim.size for dim in entry.shape.dim], dtype=int)))
    at = sum(len(varint(length)) for length in lengths)
    crc = crc32c(b"".join(length.to_bytes(4, "big") for length in lengths))
    checksum = masked(crc).to_bytes(4, "big")
    text = stored[at + 4 :]
    return stored[:at] + checksum + text, crc32c(text, crc32c(checksum, crc))


def string_bytes(strings: Sequence[bytes]) -> tuple[bytes, int]:
    """Stored bytes and masked checksum of a string tensor."""
    crc = crc32c(b"".join(len(each).to_bytes(4, "little") for each in strings))
    checksum = masked(crc).to_bytes(4, "little")
    text = b"".join(strings)
    data = b"".join(varint(len(each)) for each in strings) + checksum + text
    return data, masked(crc32c(text, crc32c(checksum, crc)))


def slice_key(name: bytes, extents: Sequence[tuple[int, int]]) -> bytes:
    """Where a slice stands: TensorFlow's encoding, for names without bytes that it escapes."""
    assert not {0, 255} & set(name)
    data = b"\0" + name + b"\0\x01" + bytes((1, len(extents)) if extents else (0,))
    for number in (each for extent in extents for each in extent):
        data += _ordered(number)
    return data


def _ordered(value: int) -> bytes:
    """OrderedCode of a signed number: as many leading ones (of the sign) as it takes bytes."""
    magnitude = value if value >= 0 else ~value
    length = magnitude.bit_length() // 7 + 1
    number = ((1 << length) - 1) << 7 * length | magnitude
    if value < 0:
        number ^= (1 << 8 * length) - 1
    return number.to_bytes(length, "big")


def data_file(prefix: Path, shard: int = 0, shards: int = 1) -> Path:
    return Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}")


def index_file(prefix: Path) -> Path:
    return Path(f"{prefix}.index")
