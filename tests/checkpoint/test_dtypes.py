"""Dtypes: TensorFlow's own table is the oracle."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.checkpoint.dtypes import (
    BY_NAME,
    BY_NUMBER,
    Kind,
    kind_of,
    name_of_numpy,
    numpy_dtype,
)
from ckptviewer.checkpoint.errors import OpaqueVariableError
from tests.builders import Bundle, sample_values, save


def all_numbers() -> list[int]:
    """The numbers of all dtypes that TensorFlow knows, references left out."""
    numbers = []
    for number in range(1, 100):
        try:
            tf.as_dtype(number)
        except TypeError:
            continue
        numbers.append(number)
    return numbers


def plain_numpy(dtype: tf.DType) -> np.dtype:
    kind = np.dtype(dtype.as_numpy_dtype)
    return kind[0] if kind.names else kind  # quantised types are records of one field


def test_no_dtype_is_left_out() -> None:
    assert sorted(BY_NUMBER) == all_numbers()
    assert len(BY_NAME) == len(BY_NUMBER)


@pytest.mark.parametrize("number", all_numbers())
def test_is_what_tensorflow_says(number: int) -> None:
    theirs, ours = tf.as_dtype(number), BY_NUMBER[number]
    assert ours.name == theirs.name
    assert BY_NAME[ours.name] is ours
    assert kind_of(ours.name) is ours.kind
    if theirs in (tf.resource, tf.variant):
        assert ours.kind is Kind.OPAQUE
        assert ours.item_bytes == 0
        with pytest.raises(OpaqueVariableError):
            numpy_dtype(ours.name)
        return
    if theirs == tf.string:
        assert ours.kind is Kind.STRING
        assert numpy_dtype("string") == np.dtype(object)
        return
    expected = plain_numpy(theirs)
    assert numpy_dtype(ours.name) == expected
    assert numpy_dtype(ours.name).isnative
    assert ours.item_bytes == expected.itemsize
    assert (ours.kind is Kind.BOOL) == theirs.is_bool
    assert (ours.kind is Kind.COMPLEX) == theirs.is_complex
    integer = theirs.is_integer or theirs.is_quantized or theirs.name in _SMALL_INTEGERS
    assert (ours.kind is Kind.INTEGER) == integer
    assert (ours.kind is Kind.FLOAT) == (theirs.is_floating or theirs.name == "float4_e2m1fn")


_SMALL_INTEGERS = {"int2", "uint2", "int4", "uint4"}


@pytest.mark.parametrize("number", [n for n in all_numbers() if n not in (7, 20, 21)])
def test_bytes_an_element_takes_in_a_bundle(number: int, tmp_path) -> None:
    prefix = save(tmp_path / "x", {"v": sample_values(number, (5,))})
    assert Bundle.of(prefix).entries[b"v"].size == 5 * BY_NUMBER[number].item_bytes


def test_names_of_numpy_dtypes() -> None:
    assert name_of_numpy(np.dtype(">f4")) == "float32"
    assert name_of_numpy(np.dtype("<i8")) == "int64"
    assert name_of_numpy(np.dtype(np.float16)) == "float16"
    assert name_of_numpy(np.dtype(bool)) == "bool"
    assert name_of_numpy(np.dtype("S7")) == name_of_numpy(np.dtype("U3")) == "string"
    assert name_of_numpy(np.dtype(object)) == "string"
    assert name_of_numpy(np.dtype(ml_dtypes.bfloat16)) == "bfloat16"
    assert name_of_numpy(np.dtype(np.longdouble)) == np.dtype(np.longdouble).name
    for dtype in BY_NAME.values():
        if dtype.numpy_name == dtype.name:
            assert name_of_numpy(numpy_dtype(dtype.name)) == dtype.name


def test_unknown_names_are_opaque() -> None:
    assert kind_of("dtype-77") is Kind.OPAQUE
    with pytest.raises(OpaqueVariableError) as caught:
        numpy_dtype("dtype-77")
    assert "dtype-77" in str(caught.value)
    assert caught.value.remedy
