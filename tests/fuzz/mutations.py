"""Taking inputs apart, changing what is inside, and sealing them again.

Checksums and lengths would stop a mutation of plain bytes at the first test. So half of the changes
are made inside blocks, members and messages, with everything around them set right.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from crc32c import crc32c

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.sstable import MAGIC, Table, mask
from ckptviewer.storage.byte_source import MemoryBytes
from tests.fuzz.parts import join_parts, split_parts
from tests.fuzz.targets import Target
from tests.varints import varint

Bytes = Callable[[bytes, int], bytes]
"""Changes plain bytes: what there is, and how long it may become."""

Random = Any  # the module `random`, seeded with libFuzzer's number before each change
Pair = tuple[bytes, bytes]
_NUMBERS = (0, 1, 2, 7, 127, 128, 255, 1 << 16, 2**31 - 1, 1 << 32, 2**63 - 1, 2**64 - 1)


def mutator(target: Target) -> Callable[[bytes, int, int], bytes]:
    """The function that makes one input of another; its arguments are libFuzzer's."""
    inside = _INSIDE[target.mutation]

    def change(data: bytes, most: int, seed: int) -> bytes:
        random.seed(seed)
        rng = random

        def words(data: bytes, most: int) -> bytes:
            if not target.words or rng.random() < 0.6:
                return plain_change(data, most)
            word, at = rng.choice(target.words), rng.randint(0, len(data))
            replaced = rng.choice((0, len(word), rng.randint(0, 20)))
            return data[:at] + word + data[at + replaced :]

        parts = split_parts(data, target.parts)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            which = 0 if rng.random() < 0.75 else rng.randrange(target.parts)
            if which == 0 and rng.random() < 0.7:
                try:
                    parts[0] = inside(parts[0], words, rng, most)
                    continue
                except (CkptviewerError, ValueError, IndexError, OSError, zipfile.BadZipFile):
                    pass
                except (NotImplementedError, RuntimeError, OverflowError, EOFError, KeyError):
                    pass
                except Exception as error:  # zlib.error, struct.error, LargeZipFile
                    if type(error).__name__ != "error":
                        raise
            others = sum(map(len, parts)) - len(parts[which])
            parts[which] = words(parts[which], max(1, most - others))
        return join_parts([part[:most] for part in parts])[:most]

    return change


def plain_change(data: bytes, most: int) -> bytes:
    """Bytes or bits of `data` are set, put in, left out, copied, or taken for numbers.

    In place of atheris.Mutate, which atheris 3.0 refuses to run inside a custom mutator.
    """
    rng, out = random, bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randint(0, len(out))
        size = rng.choice((1, 1, 2, 4, 8, rng.randint(1, 64)))
        action = rng.randrange(7)
        if action == 0 or not out:
            out[at:at] = rng.randbytes(size)
        elif action == 1:
            del out[at : at + size]
        elif action == 2 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif action == 3 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif action == 4:
            start = rng.randrange(len(out))
            out[at:at] = out[start : start + size]
        elif action == 5:
            width = rng.choice((2, 4, 8))
            number = rng.choice((*_NUMBERS, rng.randrange(len(out) + 1))) % (1 << 8 * width)
            out[at : at + width] = number.to_bytes(width, rng.choice(("little", "little", "big")))
        elif at < len(out):
            out[at] = (out[at] + rng.choice((1, -1))) % 256
    return bytes(out[:most])


# Tables


def _table(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A block's content, one record, or the order of records is changed, and all is sealed."""
    table = Table(MemoryBytes(data))
    blocks = [table.block(handle) for handle in table.handles()]
    if rng.random() < 0.3 and blocks:
        which = rng.randrange(len(blocks))
        blocks[which] = plain(blocks[which], most)
        return _table_of([(b"\xff" * (n + 1), block) for n, block in enumerate(blocks)], rng)
    pairs = [pair for handle in table.handles() for pair in table.entries(handle)]
    if pairs:
        _change_pairs(pairs, plain, rng, most)
    size = rng.choice((1000, 1000, 3))
    groups = [pairs[first : first + size] for first in range(0, len(pairs), size)]
    return _table_of([(group[-1][0], _block(group)) for group in groups], rng)


def _change_pairs(pairs: list[Pair], plain: Bytes, rng: Random, most: int) -> None:
    at = rng.randrange(len(pairs))
    key, value = pairs[at]
    action = rng.random()
    if action < 0.15:
        pairs[at] = plain(key, 300), value
    elif action < 0.3:
        pairs[at] = key, plain(value, most)
    elif action < 0.8:
        pairs[at] = key, _message(value, plain, rng, most)
    elif action < 0.85:
        del pairs[at]
    elif action < 0.9:
        pairs.insert(rng.randrange(len(pairs)), pairs[at])
    elif action < 0.95:
        other = rng.randrange(len(pairs))
        pairs[at], pairs[other] = (key, pairs[other][1]), (pairs[other][0], value)
    else:
        pairs.append((plain(key, 300), value))
    if rng.random() < 0.7:
        pairs.sort()


def _block(pairs: list[Pair]) -> bytes:
    data = b"".join(
        b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs
    )
    return data + bytes(4) + (1).to_bytes(4, "little")


def _table_of(blocks: list[Pair], rng: Random) -> bytes:
    data, handles = b"", []
    for key, content in [*blocks, (b"", _block([]))]:
        handles.append((key, varint(len(data)) + varint(len(content))))
        data += _sealed(content, rng)
    meta = handles.pop()[1]
    index = _block(handles)
    footer = meta + varint(len(data)) + varint(len(index))
    return data + _sealed(index, rng) + footer.ljust(40, b"\0") + MAGIC


def _sealed(content: bytes, rng: Random) -> bytes:
    """A block with a checksum that is right; snappy only by name, as handles tell packed sizes."""
    content += b"\0" if rng.random() < 0.98 else b"\1"
    return content + _masked(content)


# Protocol buffers


def _message(data: bytes, plain: Bytes, rng: Random, most: int, depth: int = 0) -> bytes:
    """One field, at any depth, is changed, dropped, doubled or moved; lengths are set right."""
    fields = _fields(data)
    if not fields:
        return plain(data, most)
    at = rng.randrange(len(fields))
    tag, kind, content = fields[at]
    action = rng.random()
    if action < 0.08:
        del fields[at]
    elif action < 0.16:
        fields[at : at + 1] = [fields[at]] * rng.choice((2, 2, 3, 50))
    elif action < 0.2:
        rng.shuffle(fields)
    elif action < 0.24:
        fields[at] = rng.randint(1, 12) << 3 | kind, kind, content
    elif kind == 0:
        number = rng.choice((*_NUMBERS, rng.randrange(64), rng.getrandbits(40)))
        fields[at] = tag, kind, varint(number)
    elif kind == 2 and depth < 12 and content and rng.random() < 0.8:
        fields[at] = tag, kind, _message(content, plain, rng, most, depth + 1)
    else:
        changed = plain(content, most)
        fields[at] = tag, kind, changed if kind == 2 else (changed + bytes(8))[: len(content)]
    return b"".join(
        varint(tag) + (varint(len(content)) if kind == 2 else b"") + content
        for tag, kind, content in fields
    )


def _fields(data: bytes) -> list[tuple[int, int, bytes]]:
    """Tag, wire type and content of each field; empty where the bytes are no message."""
    fields, position = [], 0
    try:
        while position < len(data):
            tag, position = _number(data, position)
            kind = tag & 7
            if kind == 0:
                _, end = _number(data, position)
            elif kind == 2:
                length, position = _number(data, position)
                end = position + length
            elif kind in (1, 5):
                end = position + (8 if kind == 1 else 4)
            else:
                return []
            if end > len(data) or tag < 8:
                return []
            fields.append((tag, kind, data[position:end]))
            position = end
    except IndexError:
        return []
    return fields


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 63:
            return value, position


# Archives, headers, offsets, texts


def _archive(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A member's content or name is changed, and the archive written anew, checksums and all."""
    if data[:6] == b"\x93NUMPY":
        return _npy(data, plain, rng, most)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(each.filename, archive.read(each)[:most]) for each in archive.infolist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    action = rng.random()
    if action < 0.05:
        del members[at]
    elif action < 0.1:
        members.append((name, plain(content, most)))
    elif action < 0.17:
        changed = plain(name.encode(), 60).decode("latin-1").replace("\0", "_")
        members[at] = changed or "x", content
    elif content[:6] == b"\x93NUMPY" and action < 0.8:
        members[at] = name, _npy(content, plain, rng, most)
    elif content[:4] == b"\x89HDF" and action < 0.6:
        members[at] = name, _offsets(content, plain, rng, most)
    else:
        members[at] = name, plain(content, most)
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return out.getvalue()


def _npy(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """The header of an array is changed, and its length set right."""
    wide = data[6] > 1
    start = 12 if wide else 10
    length = int.from_bytes(data[8:start], "little")
    header = plain(data[start : start + length], min(most, 60_000))
    size = len(header).to_bytes(start - 8, "little")
    return data[:8] + size + header + data[start + length :]


def _header(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A safetensors header is changed, and its length set right, or nearly so."""
    length = int.from_bytes(data[:8], "little")
    header = plain(data[8 : 8 + length], most)
    wrong = rng.choice((0, 0, 0, 0, 0, 0, 1, -1, 1 << 40, 1 << 63))
    said = (len(header) + wrong) % (1 << 64)
    return said.to_bytes(8, "little") + header + data[8 + length :]


def _offsets(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """Numbers inside the file come to point elsewhere in it, or say another size."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        width = rng.choice((1, 2, 4, 8))
        at = rng.randrange(max(1, len(out) - width))
        if rng.random() < 0.7:
            at &= -width
        known = int.from_bytes(out[at : at + width], "little")
        number = rng.choice(
            (
                known + 1,
                known - 1,
                known * 2,
                known ^ (1 << rng.randrange(8 * width)),
                rng.choice(_NUMBERS),
                rng.randrange(len(out) + 1) & -8,
                rng.randrange(256),
            )
        )
        out[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(out)


def _text(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A stretch of text is repeated, moved or left out."""
    first, last = sorted(rng.randint(0, len(data)) for _ in range(2))
    at = rng.randint(0, len(data))
    piece = data[first : min(last, first + 200)] * rng.choice((0, 1, 1, 2, 30))
    return (data[:at] + piece + data[at + rng.choice((0, len(piece))) :])[:most]


def _json(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A value at any depth is changed, dropped, doubled or wrapped; the rest stays JSON."""
    document = json.loads(data)
    places: list[tuple[Any, Any]] = []
    pending = [document]
    while pending:
        inner = pending.pop()
        if isinstance(inner, (dict, list)):
            names = list(inner) if isinstance(inner, dict) else range(len(inner))
            places += [(inner, name) for name in names]
            pending += [inner[name] for name in names]
    if not places:
        return plain(data, most)
    inner, name = rng.choice(places)
    action = rng.random()
    if action < 0.1:
        del inner[name]
    elif action < 0.2 and isinstance(inner, dict):
        inner[plain(str(name).encode(), 60).decode("latin-1")] = inner.pop(name)
    elif action < 0.3:
        other, other_name = rng.choice(places)
        inner[name] = json.loads(json.dumps(other[other_name]))
    elif isinstance(inner[name], str) and action < 0.8:
        text = inner[name].encode("utf-8", "surrogatepass")
        inner[name] = plain(text, 300).decode("utf-8", "surrogateescape")
    else:
        odd = (None, True, -1, 0, 1e308, -0.0, 10**400, 2**63, "", "/", "\ud800", [], {}, [[]])
        inner[name] = rng.choice((*odd, [inner[name]] * 3, {"x": inner[name]}))
    return json.dumps(document, indent=rng.choice((None, 1))).encode()


def _lines(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A line of JSON is changed as that, left out, doubled or moved."""
    lines = data.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 2))):
        lines.insert(rng.randint(0, len(lines)), _json(line, plain, rng, most).replace(b"\n", b""))
    return b"\n".join(lines)


def _records(data: bytes, plain: Bytes, rng: Random, most: int) -> bytes:
    """A record of a TFRecord file is changed as a message, and all are framed anew."""
    if data[:2] == b"\x1f\x8b":
        data = zlib.decompressobj(31).decompress(data, most)
    records, at = [], 0
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        records.append(data[at + 12 : at + 12 + size])
        at += 16 + size
    if not records:
        return plain(data, most)
    which = rng.randrange(len(records))
    records[which] = _message(records[which], plain, rng, most)
    framed = b""
    for record in records:
        wrong = rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 1 << 40))
        length = (len(record) + wrong).to_bytes(8, "little")
        framed += length + _masked(length) + record + _masked(record)
    if rng.random() < 0.2:
        return gzip.compress(framed, 1, mtime=0) if rng.random() < 0.5 else zlib.compress(framed, 1)
    return framed


def _masked(content: bytes) -> bytes:
    return mask(crc32c(content)).to_bytes(4, "little")


_INSIDE = {
    "table": _table,
    "message": _message,
    "archive": _archive,
    "header": _header,
    "offsets": _offsets,
    "text": _text,
    "json": _json,
    "lines": _lines,
    "records": _records,
}
