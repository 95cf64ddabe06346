"""TensorFlow's dtypes: names, numbers, widths, and their NumPy counterparts.

Source: tensorflow/core/framework/types.proto. Names are those that `tf.DType.name` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import OpaqueVariableError

if TYPE_CHECKING:
    import numpy as np


class Kind(StrEnum):
    """What sort of numbers a dtype holds: decides which statistics make sense."""

    FLOAT = "float"
    COMPLEX = "complex"
    INTEGER = "integer"
    BOOL = "bool"
    STRING = "string"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """One of TensorFlow's dtypes.

    name: TensorFlow's name ("float32", "half" is "float16").
    number: its value in types.proto.
    item_bytes: bytes an element takes in a tensor bundle; 0 for string and opaque ones.
    kind: float, complex, integer, bool, string or opaque.
    numpy_name: the NumPy or ml_dtypes type with the same bytes; empty for opaque ones.
    """

    name: str
    number: int
    item_bytes: int
    kind: Kind
    numpy_name: str


def _dtype(name: str, number: int, item_bytes: int, kind: Kind, numpy_name: str = "") -> Dtype:
    return Dtype(
        name=name,
        number=number,
        item_bytes=item_bytes,
        kind=kind,
        numpy_name=numpy_name or name,
    )


_ALL = (
    _dtype("float32", 1, 4, Kind.FLOAT),
    _dtype("float64", 2, 8, Kind.FLOAT),
    _dtype("int32", 3, 4, Kind.INTEGER),
    _dtype("uint8", 4, 1, Kind.INTEGER),
    _dtype("int16", 5, 2, Kind.INTEGER),
    _dtype("int8", 6, 1, Kind.INTEGER),
    _dtype("string", 7, 0, Kind.STRING, "object"),
    _dtype("complex64", 8, 8, Kind.COMPLEX),
    _dtype("int64", 9, 8, Kind.INTEGER),
    _dtype("bool", 10, 1, Kind.BOOL),
    _dtype("qint8", 11, 1, Kind.INTEGER, "int8"),
    _dtype("quint8", 12, 1, Kind.INTEGER, "uint8"),
    _dtype("qint32", 13, 4, Kind.INTEGER, "int32"),
    _dtype("bfloat16", 14, 2, Kind.FLOAT),
    _dtype("qint16", 15, 2, Kind.INTEGER, "int16"),
    _dtype("quint16", 16, 2, Kind.INTEGER, "uint16"),
    _dtype("uint16", 17, 2, Kind.INTEGER),
    _dtype("complex128", 18, 16, Kind.COMPLEX),
    _dtype("float16", 19, 2, Kind.FLOAT),
    Dtype(name="resource", number=20, item_bytes=0, kind=Kind.OPAQUE, numpy_name=""),
    Dtype(name="variant", number=21, item_bytes=0, kind=Kind.OPAQUE, numpy_name=""),
    _dtype("uint32", 22, 4, Kind.INTEGER),
    _dtype("uint64", 23, 8, Kind.INTEGER),
    _dtype("float8_e5m2", 24, 1, Kind.FLOAT),
    _dtype("float8_e4m3fn", 25, 1, Kind.FLOAT),
    _dtype("float8_e4m3fnuz", 26, 1, Kind.FLOAT),
    _dtype("float8_e4m3b11fnuz", 27, 1, Kind.FLOAT),
    _dtype("float8_e5m2fnuz", 28, 1, Kind.FLOAT),
    _dtype("int4", 29, 1, Kind.INTEGER),
    _dtype("uint4", 30, 1, Kind.INTEGER),
    _dtype("int2", 31, 1, Kind.INTEGER),
    _dtype("uint2", 32, 1, Kind.INTEGER),
    _dtype("float4_e2m1fn", 33, 1, Kind.FLOAT),
)

BY_NUMBER: dict[int, Dtype] = {dtype.number: dtype for dtype in _ALL}
BY_NAME: dict[str, Dtype] = {dtype.name: dtype for dtype in _ALL}

_NEED_ML_DTYPES = frozenset(
    name for name in BY_NAME if name.startswith(("bfloat", "float8", "float4"))
) | {"int4", "uint4", "int2", "uint2"}


def kind_of(name: str) -> Kind:
    """The kind of the dtype called `name`; OPAQUE for a name that is not known."""
    dtype = BY_NAME.get(name)
    return dtype.kind if dtype else Kind.OPAQUE


@cache
def numpy_dtype(name: str) -> np.dtype:
    """The native-endian NumPy dtype for TensorFlow's dtype `name`; `object` for strings.

    Quantised types give the plain integers they are stored as. Raises OpaqueVariableError for
    dtypes without values (variant, resource) and for unknown names.
    """
    import numpy as np

    dtype = BY_NAME.get(name)
    if dtype is None or not dtype.numpy_name:
        raise OpaqueVariableError(
            f"dtype {name} has no values that can be shown",
            remedy="Its stored bytes can still be copied.",
        )
    if name in _NEED_ML_DTYPES:
        import ml_dtypes

        narrow: np.dtype = np.dtype(getattr(ml_dtypes, name))
        return narrow
    return np.dtype(dtype.numpy_name)


def name_of_numpy(dtype: np.dtype) -> str:
    """TensorFlow's name for a NumPy dtype, whatever its byte order; byte strings are "string".

    A NumPy dtype that TensorFlow does not know keeps NumPy's own name.
    """
    if dtype.kind in "SUO":
        return "string"
    return dtype.newbyteorder("=").name
