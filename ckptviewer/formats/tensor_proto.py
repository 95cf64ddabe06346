"""The values in a TensorProto, bulk first: numbers are never made one by one in Python.

Source of the format: tensorflow/core/framework/tensor.proto and tensor.cc (which field holds which
dtype). Values stand in `tensor_content`, or in a repeated field by dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, OpaqueVariableError
from ckptviewer.formats.wire import FIXED32, FIXED64, LENGTH, VARINT, fields

if TYPE_CHECKING:
    import numpy as np

_CONTENT = 4
_STRINGS = 8
_FLOAT8 = 18
# Field number and NumPy code of what stands there as plain bytes.
_RAW_FIELDS = {
    "float32": (5, "<f4"),
    "float64": (6, "<f8"),
    "complex64": (9, "<f4"),
    "complex128": (12, "<f8"),
}
_VARINT_FIELDS = {
    "int64": 10,
    "bool": 11,
    "float16": 13,
    "bfloat16": 13,
    "uint32": 16,
    "uint64": 17,
}
_INT_FIELD = 7  # all other integers, quantised ones too
_SEGMENT_BYTES = 1 << 20


def tensor_values(message: memoryview, dtype: str, count: int) -> np.ndarray:
    """The `count` values of the TensorProto `message`: flat, native byte order; may be a view.

    Raises DamagedFileError where there are not as many, OpaqueVariableError.
    """
    import numpy as np

    if dtype == "string":
        return _strings(message, count)
    native = numpy_dtype(dtype)
    parts = [part for part in _parts(message, dtype) if part.size]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, native)])
    if values.dtype != native:
        values = values.astype(native)
    if values.size != count:
        raise DamagedFileError(f"its shape needs {count:,} values, and {values.size:,} are stored")
    return values


def dense_field(dtype: str) -> tuple[int, ...]:
    """The numbers of the fields in which values of `dtype` lie as they lie in memory."""
    if dtype in _RAW_FIELDS:
        return (_CONTENT, _RAW_FIELDS[dtype][0])
    if dtype.startswith("float8"):
        return (_CONTENT, _FLOAT8)
    return () if kind_of(dtype) in (Kind.STRING, Kind.OPAQUE) else (_CONTENT,)


def _strings(message: memoryview, count: int) -> np.ndarray:
    import numpy as np

    found = [
        bytes(content)
        for number, wire, _, content in fields(message)
        if number == _STRINGS and wire == LENGTH
    ]
    if len(found) != count:
        raise DamagedFileError(f"its shape needs {count:,} strings, and {len(found):,} are stored")
    out = np.empty(count, object)
    out[:] = found
    return out


def _parts(message: memoryview, dtype: str) -> list[np.ndarray]:
    """The values of each field that holds some, in order."""
    import numpy as np

    native, known = numpy_dtype(dtype), BY_NAME[dtype]
    raw_field, code = _RAW_FIELDS.get(dtype, (0, ""))
    varint_field = _VARINT_FIELDS.get(dtype, _INT_FIELD)
    parts: list[np.ndarray] = []
    single: list[int] = []  # a repeated field may also be written one number at a time
    for number, wire, value, content in fields(message):
        if number == _CONTENT and wire == LENGTH:
            parts.append(_reinterpreted(content, native.newbyteorder("<"), native))
        elif number == raw_field and wire == LENGTH:
            # Two floats make a complex number.
            parts.append(_reinterpreted(content, np.dtype(code), native))
        elif number == raw_field and wire in (FIXED32, FIXED64):
            single.append(value)
        elif number == _FLOAT8 and wire == LENGTH and dtype.startswith("float8"):
            parts.append(_reinterpreted(content, native, native))
        elif not raw_field and number == varint_field and wire in (LENGTH, VARINT):
            if wire == VARINT:
                single.append(value)
            else:
                parts += _from_varints(content, dtype, native)
    if single and raw_field:
        width = 4 if code == "<f4" else 8
        joined = b"".join(value.to_bytes(width, "little") for value in single)
        parts.append(_reinterpreted(memoryview(joined), np.dtype(code), native))
    elif single:
        parts.append(_narrowed(np.array(single, np.uint64), dtype, native))
    if known.kind is Kind.OPAQUE:
        raise OpaqueVariableError(f"dtype {dtype} has no values that can be shown")
    return parts


def _reinterpreted(content: memoryview, stored: np.dtype, native: np.dtype) -> np.ndarray:
    import numpy as np

    if len(content) % native.itemsize:
        raise DamagedFileError(f"{len(content):,} bytes are no whole number of its values")
    values = np.frombuffer(content, stored)
    return values.astype(stored.newbyteorder("="), copy=False).view(native)


def _from_varints(content: memoryview, dtype: str, native: np.dtype) -> list[np.ndarray]:
    """The values of a packed field of varints, decoded a segment at a time."""
    import numpy as np

    parts = []
    data = np.frombuffer(content, np.uint8)
    start = 0
    while start < data.size:
        segment = data[start : start + _SEGMENT_BYTES]
        ends = np.flatnonzero(segment < 0x80)
        if not ends.size:
            raise DamagedFileError("a number has more than 64 bits")
        segment = segment[: ends[-1] + 1]
        parts.append(_narrowed(_decoded(segment, ends), dtype, native))
        start += segment.size
    return parts


def _decoded(segment: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The varints that end at `ends` in `segment`, as uint64."""
    import numpy as np

    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > 10:
        raise DamagedFileError("a number has more than 64 bits")
    values = np.zeros(ends.size, np.uint64)
    for place in range(longest):
        some = lengths > place
        digit = segment[starts[some] + place].astype(np.uint64) & np.uint64(0x7F)
        values[some] |= digit << np.uint64(7 * place)
    return values


def _narrowed(values: np.ndarray, dtype: str, native: np.dtype) -> np.ndarray:
    """uint64 values as the dtype whose bits they hold in their lowest places."""
    import numpy as np

    if dtype in ("float16", "bfloat16"):
        return values.astype(np.uint16).view(native)
    if dtype == "bool":
        return values.astype(np.bool_)
    if dtype in ("int4", "uint4", "int2", "uint2", "float4_e2m1fn"):
        return values.astype(np.uint8).view(np.int8).astype(native)
    return values.astype(native)
