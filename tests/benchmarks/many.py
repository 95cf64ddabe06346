"""Bundles of very many small variables, named as those of a transformer with Adam."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_LEAVES = (
    ("attention/query/kernel", (4, 4)),
    ("attention/query/bias", (4,)),
    ("attention/key/kernel", (4, 4)),
    ("layer_norm/gamma", (4,)),
    ("ffn/dense_1/kernel", (4, 8)),
    ("ffn/dense_1/bias", (8,)),
)


def names_and_shapes(count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """`count` names with their shapes: each variable is followed by its two slots."""
    made = 0
    layer = 0
    while True:
        for leaf, shape in _LEAVES:
            name = f"model/block_{layer // 24}/layer_{layer % 24}/{leaf}"
            for suffix in ("", "/Adam", "/Adam_1"):
                if made == count:
                    return
                yield name + suffix, shape
                made += 1
        layer += 1


def write_bundle(directory: Path, count: int) -> Path:
    """A name-based bundle of `count` float32 variables, all one; the path of its prefix.

    The index is written by the tests' own table writer: TensorFlow's takes minutes for a million.
    """
    from tests.builders import crc32c, masked, np, table_of, varint

    prefix = directory / f"many-{count}"
    pairs = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    sums: dict[tuple[int, ...], tuple[bytes, bytes, int]] = {}
    offset = 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as data:
        for name, shape in sorted(names_and_shapes(count)):
            if shape not in sums:
                values = np.ones(shape, np.float32).tobytes()
                dims = b"".join(b"\x12\x02\x08" + bytes((size,)) for size in shape)
                start = b"\x08\x01\x12" + bytes((len(dims),)) + dims
                end = b"\x28" + varint(len(values))
                end += b"\x35" + masked(crc32c(values)).to_bytes(4, "little")
                sums[shape] = start, end, len(values)
            start, end, size = sums[shape]
            place = b"\x20" + varint(offset) if offset else b""
            pairs.append((name.encode(), start + place + end))
            data.write(np.ones(shape, np.float32).tobytes())
            offset += size
    Path(f"{prefix}.index").write_bytes(table_of(pairs, block_entries=8000))
    return prefix
