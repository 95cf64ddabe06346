"""The header of an .npy file, read as text: nothing in it is evaluated.

Source of the format: NumPy's NEP 1 and numpy/lib/format.py. After the magic bytes and the version
stand the length of the header and the header itself: a Python dictionary with exactly the keys
`descr`, `fortran_order` and `shape`.

Dtypes that NumPy has no name for stand there as a record of one field that bears their name, as
our own writer stores them: `[('bfloat16', '|V2')]`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, TruncatedFileError
from ckptviewer.formats.shapes import checked_shape

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"\x93NUMPY"
LARGEST_HEADER_BYTES = 10_000
"""NumPy's own limit."""

_MOST_STRINGS_WITHOUT_BYTES = 1 << 16

_ITEM = r"""'descr':(?P<descr>'[^']*+'|\[[^{}]*\])
|'fortran_order':(?P<fortran>True|False)
|'shape':\((?P<shape>(?:\d+L?,)*+(?:\d+L?)?+)\)"""
_ITEMS = re.compile(_ITEM, re.VERBOSE)
_SIMPLE = re.compile(r"([<>|=]?)([a-zA-Z])(\d{0,9})(\[[^\]]{1,20}\])?")
_FIELD = re.compile(r"\[\('(\w{1,40})','([|<]?[Vbiu]\d{1,2})'\),?\]")
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
_PLAIN = frozenset(
    """bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64
    complex128""".split()
)
_WORDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


class NpyHeader(NamedTuple):
    """What the header of an array says.

    dtype: TensorFlow's name, "string" for fixed-width bytes and text, or a name of no dtype that
    has values here ("object", "structured", "float128").
    stored: NumPy's code of the dtype as stored ("<f4", "|S7"); the dtype's own name where NumPy has
    none; empty where it is not read.
    fortran: whether the first axis varies fastest. data_offset: where the values begin.
    item_bytes: bytes an element takes; 0 where that is unknown.
    """

    dtype: str
    stored: str
    item_bytes: int
    fortran: bool
    shape: tuple[int, ...]
    data_offset: int

    @property
    def value_bytes(self) -> int:
        """Bytes that all values take."""
        return prod(self.shape) * self.item_bytes

    def numpy_dtype(self) -> np.dtype:
        """The dtype as stored, its byte order included."""
        import numpy as np

        return numpy_dtype(self.stored) if field_of(self.stored) else np.dtype(self.stored)


def field_of(dtype: str) -> str:
    """NumPy's code of the one field of records that hold such values; empty where none is needed.

    dtype: TensorFlow's name. Quantised types are the plain integers that they are stored as.
    """
    known = BY_NAME.get(dtype)
    if known is None or known.kind in (Kind.STRING, Kind.OPAQUE):
        return ""
    if known.numpy_name != dtype:
        return numpy_dtype(dtype).newbyteorder("<").str
    return "" if dtype in _PLAIN else f"|V{known.item_bytes}"


def header_bytes(start: bytes) -> int:
    """Bytes of magic, version, length and header together, told by the first 12 of them.

    Raises DamagedFileError where `start` is no array's start.
    """
    if not start.startswith(MAGIC):
        raise DamagedFileError("it does not begin as an array of NumPy does")
    if len(start) < 12:
        raise TruncatedFileError("it ends within its header")
    if start[6] == 1:
        length = 10 + int.from_bytes(start[8:10], "little")
    elif start[6] in (2, 3):
        length = 12 + int.from_bytes(start[8:12], "little")
    else:
        raise DamagedFileError(f"it has version {start[6]} of NumPy's format, which is not known")
    if length > LARGEST_HEADER_BYTES:
        raise DamagedFileError(f"its header is said to have {length:,} bytes")
    return length


def parse_header(data: bytes) -> NpyHeader:
    """The header that `data` begins with; `data` has at least `header_bytes` bytes.

    Raises DamagedFileError.
    """
    return _parse(data[: header_bytes(data)])


@lru_cache(maxsize=1024)  # the arrays of an archive share a few dtypes and shapes
def _parse(data: bytes) -> NpyHeader:
    end = len(data)
    try:
        text = data[10 if data[6] == 1 else 12 : end].decode("utf-8" if data[6] == 3 else "latin1")
    except UnicodeDecodeError as error:
        raise DamagedFileError("its header is no text") from error
    fields = _fields("".join(text.split()).replace('"', "'"))
    descr, fortran, sizes = fields["descr"], fields["fortran"] == "True", fields["shape"]
    numbers = [number.rstrip("L") for number in sizes.split(",") if number]
    if any(len(number) > 19 for number in numbers):
        raise DamagedFileError("its shape is larger than any memory")
    dtype, stored, item_bytes = _dtype(descr)
    # An element of a string becomes an object of its own, which takes a pointer at least.
    shape = checked_shape([int(n) for n in numbers], max(item_bytes, 8 if dtype == "string" else 1))
    if dtype == "string" and not item_bytes and prod(shape) > _MOST_STRINGS_WITHOUT_BYTES:
        raise DamagedFileError(f"it claims {prod(shape):,} strings that take no bytes")
    return NpyHeader(dtype, stored, item_bytes, fortran and len(shape) > 1, shape, end)


def _fields(text: str) -> dict[str, str]:
    """The three fields, each as its text."""
    fields: dict[str, str] = {}
    position = 1
    if text.startswith("{") and text.endswith("}"):
        while found := _ITEMS.match(text, position):
            fields |= {key: value for key, value in found.groupdict().items() if value is not None}
            position = found.end() + (text[found.end()] == ",")
    if position != len(text) - 1 or fields.keys() != {"descr", "fortran", "shape"}:
        raise DamagedFileError("its header is not one that NumPy writes")
    return fields


def _dtype(descr: str) -> tuple[str, str, int]:
    """Name, NumPy's code and bytes an element of what `descr` says; see NpyHeader."""
    if not descr.startswith("'"):
        named = _FIELD.fullmatch(descr)
        if named and named[2] == field_of(named[1]):
            return named[1], named[1], BY_NAME[named[1]].item_bytes
        return "structured", "", 0
    found = _SIMPLE.fullmatch(descr[1:-1])
    if not found:
        raise DamagedFileError(f"its header names no dtype: {descr:.80}")
    order, kind, digits, unit = found.groups()
    count = int(digits or 0)
    if kind == "O":
        return "object", "", 0
    if kind in "SUa":
        return "string", f"{order}{'U' if kind == 'U' else 'S'}{count}", count * (1, 4)[kind == "U"]
    if not unit and count in _SIZES.get(kind, ()):
        name = "bool" if kind == "b" else f"{_WORDS[kind]}{count * 8}"
        return name, f"{order}{kind}{count}", count
    other = {"V": "void", "M": "datetime", "m": "timedelta"} | _WORDS
    return f"{other.get(kind, kind)}{count * 8}{unit or ''}", "", count
