"""The header of a safetensors file: the tensors that it names, and where their bytes must lie.

Source of the format: see `safetensors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import COPY_FILE, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.formats.shapes import checked_shape

LARGEST_HEADER_BYTES = 100_000_000  # the reference reader's limit
_LARGEST_ENTRY_BYTES = 1 << 16
_LARGEST_METADATA_BYTES = 1 << 24
_SAVE_AGAIN = "Save it again with the safetensors library."

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
# Bits an element of those that are listed but not read: TensorFlow knows them not, or not packed.
_OPAQUE_BITS = {"F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}

NAME = re.compile(rb'[ \t\r\n]*"((?:[^"\\]++|\\.)*+)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_FLAT_OBJECT = re.compile(rb'\{(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
# As the library writes it; whatever else is JSON takes a slower way.
_USUAL_ENTRY = re.compile(
    rb'\{"dtype":"(\w{1,20})","shape":(\[[\d,]{0,500}\]),"data_offsets":\[(\d{1,18}),(\d{1,18})\]\}'
)
_BETWEEN = re.compile(rb"[ \t\r\n]*([,}])[ \t\r\n]*")


class Entry(NamedTuple):
    """What the header says of one tensor.

    dtype: TensorFlow's name, or the file's own where TensorFlow has none. start, stop: its bytes,
    counted from the end of the header. problem: why its values cannot be had; empty where they can.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int
    problem: str = ""


def parse_header(header: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors by name, and the metadata. Raises DamagedFileError.

    The outer object is taken apart here and only its small, flat members are given to `json`: so
    neither deep nesting nor a hundred megabytes of brackets can take memory.
    """
    entries: dict[str, Entry] = {}
    metadata: dict[str, str] | None = None
    if not header.startswith(b"{"):
        raise DamagedFileError("its header does not begin with a brace")
    if re.fullmatch(rb"\{[ \t\r\n]*\}[ \t\r\n]*", header):
        return {}, {}
    position, mark = 1, b","
    while mark == b",":
        name, value, position = _member(header, position)
        between = _BETWEEN.match(header, position)
        if between is None:
            raise DamagedFileError(f"its header is no JSON object at byte {8 + position:,}")
        position, mark = between.end(), between[1]
        if name in entries or (name == "__metadata__" and metadata is not None):
            raise DamagedFileError(f"its header names {name!r} twice")
        if name == "__metadata__":
            metadata = _metadata(value)
        else:
            entries[name] = _entry(name, value)
    if position != len(header):
        raise DamagedFileError("something follows its header's last brace")
    return entries, metadata or {}


def _member(header: bytes, position: int) -> tuple[str, bytes, int]:
    """Name and value (a flat object) of the member at `position`, and the position behind it."""
    found = NAME.match(header, position)
    flat = found and _FLAT_OBJECT.match(header, found.end())
    if not found or not flat:
        raise DamagedFileError(f"its header is no object of flat objects at byte {8 + position:,}")
    return _text(b'"' + found[1] + b'"'), flat[0], flat.end()


def _text(quoted: bytes) -> str:
    try:
        text = json.loads(quoted.decode()) if b"\\" in quoted else quoted[1:-1].decode()
        text.encode()  # half a surrogate pair, written as an escape, is no text
    except ValueError as error:
        raise DamagedFileError(f"its header has a name that is no text: {quoted!r:.80}") from error
    return str(text)


def _metadata(value: bytes) -> dict[str, str]:
    if len(value) > _LARGEST_METADATA_BYTES:
        return {"__metadata__": f"{len(value):,} bytes, not shown"}
    try:
        pairs = json.loads(value.decode(), object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("the metadata in its header are no JSON") from error
    if not all(isinstance(text, str) for _, text in pairs):
        raise DamagedFileError("the metadata in its header are not texts alone")
    return {
        name.encode(errors="replace").decode(): text.encode(errors="replace").decode()
        for name, text in pairs
    }


def _entry(name: str, value: bytes) -> Entry:
    """The entry that `value` describes. Raises DamagedFileError where it is no entry at all."""
    try:
        if usual := _USUAL_ENTRY.fullmatch(value):
            dtype, sizes, start, stop = usual[1], usual[2], int(usual[3]), int(usual[4])
        else:
            dtype, sizes, start, stop = _unusual_entry(value)
        ours, shape, needed = _dtype_and_shape(dtype, sizes)
        if start > stop:
            raise DamagedFileError("it ends before it begins")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = error.what if isinstance(error, DamagedFileError) else "a field is missing or wrong"
        raise DamagedFileError(f"the entry of {name!r:.200} in its header is bad: {why}") from error
    problem = ""
    if needed is not None and needed != stop - start:
        problem = f"its shape needs {needed:,} bytes, and {stop - start:,} are stored"
    return Entry(ours, shape, start, stop, problem)


def _unusual_entry(value: bytes) -> tuple[bytes, bytes, int, int]:
    """The fields of an entry that is not written as the library writes it, sizes as JSON."""
    if len(value) > _LARGEST_ENTRY_BYTES:
        raise DamagedFileError("it is too long")
    pairs = json.loads(value.decode(), object_pairs_hook=list)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise DamagedFileError("it has a field twice")
    dtype, shape, (start, stop) = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or not isinstance(shape, list):
        raise DamagedFileError("dtype or shape is of another type")
    if not all(type(n) is int and 0 <= n < 1 << 63 for n in (start, stop, *shape)):
        raise DamagedFileError("its shape or its offsets are no natural numbers")
    return dtype.encode(), json.dumps(shape, separators=(",", ":")).encode(), start, stop


@lru_cache(maxsize=4096)  # the tensors of a model share a few dtypes and shapes
def _dtype_and_shape(dtype: bytes, sizes: bytes) -> tuple[str, tuple[int, ...], int | None]:
    """Our name of the dtype, the shape, and the bytes that it needs (None where unknown)."""
    theirs = dtype.decode()
    ours = _DTYPES.get(theirs, theirs)
    known = BY_NAME.get(ours) if theirs in _DTYPES else None
    shape = checked_shape(json.loads(sizes), known.item_bytes if known else 1)
    bits = known.item_bytes * 8 if known else _OPAQUE_BITS.get(theirs)
    return ours, shape, None if bits is None else -(-prod(shape) * bits // 8)


def check_layout(
    entries: Mapping[str, Entry], data_bytes: int, data_start: int
) -> tuple[dict[str, Entry], list[Finding]]:
    """The entries, with a problem where their bytes are not theirs alone; findings for these.

    data_bytes: what the file has behind its header. data_start: where that begins. Tensors must lie
    one after the other without overlap or gap, up to the end of the file.
    """
    checked = dict(entries)
    findings: list[Finding] = []
    end, last, gaps = 0, "", 0
    for key, entry in sorted(entries.items(), key=lambda item: item[1][2:4]):
        if entry.start < end and entry.stop > entry.start:
            for one, other in ((key, last), (last, key)):
                if not checked[one].problem:
                    why = f"its bytes are those of {other!r:.200}, too"
                    checked[one] = checked[one]._replace(problem=why)
        elif entry.start > end:
            gaps += entry.start - end
        if entry.stop > data_bytes and not checked[key].problem:
            why = (
                f"its values end at byte {data_start + entry.stop:,}, "
                f"and the file at {data_start + data_bytes:,}"
            )
            checked[key] = checked[key]._replace(problem=why)
        if entry.stop > end:
            end, last = entry.stop, key
    if end > data_bytes:
        hit = sum(entry.stop > data_bytes for entry in entries.values())
        findings.append(
            _error(
                "truncated-file",
                f"The file ends at byte {data_start + data_bytes:,}, and its header needs "
                f"{data_start + end:,}; {plural(hit, 'variable')} cannot be read.",
            )
        )
    elif end < data_bytes:
        gaps += data_bytes - end
    if gaps:
        findings.append(
            Finding(
                code="unused-bytes",
                severity=Severity.WARNING,
                message=f"{count_text(gaps)} bytes belong to no tensor; the safetensors library "
                "refuses such a file.",
                remedy=_SAVE_AGAIN,
            )
        )
    findings += [
        _error("unreadable-variable", f"{key} cannot be read: {entry.problem}.", key)
        for key, entry in checked.items()
        if entry.problem
    ]
    return checked, findings


def _error(code: str, message: str, variable: str | None = None) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        remedy=COPY_FILE,
        variable=variable,
    )
