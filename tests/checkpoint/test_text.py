"""Texts for people: natural order, sizes, counts, numbers."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.text import (
    MINUS,
    THIN_SPACE,
    count_text,
    elide_middle,
    exact_size_text,
    natural_key,
    natural_keys,
    natural_sorted,
    number_text,
    plural,
    shape_text,
    size_text,
)

unhurried = settings(deadline=None, derandomize=True, max_examples=150)


# Natural order


@pytest.mark.parametrize(
    "names",
    [
        ["vars/2", "vars/10"],
        ["layer-2/kernel", "layer-10/bias"],
        ["a", "a/b", "a/c", "a-b", "a_b"],
        ["a/z", "a-b"],
        ["conv2d", "conv2d_1", "conv2d_2", "conv2d_10", "conv2d_10/x"],
        ["model.ckpt-99", "model.ckpt-100", "model.ckpt-1000"],
        ["b1", "b9", "b10", "b99", "b123456789", "b1234567890", "b12345678901234567890"],
        ["t/999999999", "t/1000000000", "t/1551926310", "t/9999999999", "t/10000000000"],
        ["x07y2", "x7y10", "x08y1"],
        ["1x", "2", "10", "a"],
        ["", "a"],
        ["a" + "/0" * 5000, "a" + "/1" * 5000],
    ],
    ids=lambda names: str(names)[:40],
)
def test_names_in_natural_order(names: list[str]) -> None:
    assert natural_sorted(names[::-1], key=str) == names
    assert all(low < high for low, high in pairwise(natural_keys(names)))


def components(name: str) -> list[list[tuple[bool, int, str]]]:
    """What natural order is said to be: components, their digits as numbers."""
    return [
        [
            (False, int(run), "") if run.isascii() and run.isdigit() else (True, 0, run)
            for run in re.split(r"([0-9]+)", part)
            if run
        ]
        for part in name.split("/")
    ]


names = st.text("ab/019", min_size=1, max_size=30)


@unhurried
@given(st.lists(names, max_size=8))
def test_order_is_that_of_components_with_digits_as_numbers(several: list[str]) -> None:
    keys = natural_keys(several)
    for first, low in zip(several, keys, strict=True):
        for second, high in zip(several, keys, strict=True):
            assert (low < high) == (components(first) < components(second)), (first, second)


@unhurried
@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_of_any_length_compare_as_numbers(low: int, high: int) -> None:
    assert (natural_key(f"a/{low}x") < natural_key(f"a/{high}x")) == (low < high)


@unhurried
@given(st.lists(st.text(max_size=20), max_size=10))
def test_keys_of_many_are_the_keys_of_each(several: list[str]) -> None:
    assert natural_keys(several) == [natural_key(name) for name in several]


@unhurried
@given(st.lists(st.text(max_size=12) | names, max_size=8), st.booleans())
def test_hundreds_of_names_at_once_are_no_different(several: list[str], plain: bool) -> None:
    many = [f"scope_{number % 7}/kernel_{number}" for number in range(600)]
    if not plain:
        many += ["t/00", "t/007", "t/12345678901234567890", "t/0"]
    assert natural_keys(many + several) == [natural_key(name) for name in many + several]


def test_sorting_keeps_items_and_is_stable() -> None:
    items = [("b", 1), ("a10", 2), ("a2", 3), ("b", 4)]
    assert natural_sorted(items, key=lambda item: item[0]) == [
        ("a2", 3),
        ("a10", 2),
        ("b", 1),
        ("b", 4),
    ]
    assert natural_sorted([], key=str) == []


# Sizes and counts


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1051, "1.1 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (262_144, "262 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_300_000_000, "1.3 GB"),
        (20 << 30, "21.5 GB"),
        (5 * 10**12, "5.0 TB"),
        (7 * 10**15, "7.0 PB"),
        (12_345 * 10**15, "12345 PB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@unhurried
@given(st.integers(0, 10**17))
def test_a_size_is_right_to_two_digits(size: int) -> None:
    number, unit = size_text(size).split(" ")
    scale = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}[unit]
    assert abs(float(number) * scale - size) <= 0.05 * scale + 0.005 * size
    assert unit == "PB" or len(number.replace(".", "")) <= 3


def test_exact_sizes_and_counts() -> None:
    assert count_text(0) == "0"
    assert count_text(1234567) == f"1{THIN_SPACE}234{THIN_SPACE}567"
    assert count_text(-1234) == f"{MINUS}1{THIN_SPACE}234"
    assert exact_size_text(262144) == f"262{THIN_SPACE}144 bytes"
    assert exact_size_text(1) == "1 byte"
    assert exact_size_text(0) == "0 bytes"
    assert plural(1, "variable") == "1 variable"
    assert plural(0, "variable") == "0 variables"
    assert plural(2, "entry", "entries") == "2 entries"


def test_shapes() -> None:
    assert shape_text(()) == "scalar"
    assert shape_text((7,)) == "7"
    assert shape_text((256, 1024, 0)) == f"256 \u00d7 1{THIN_SPACE}024 \u00d7 0"


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, f"{MINUS}1.5"),
        (0.1, "0.1"),
        (1 / 3, "0.33333"),
        (123.456789, "123.46"),
        (0.00012345678, "0.00012346"),
        (0.000012345678, f"1.2346e{MINUS}5"),
        (12345.678, "12346"),
        (99999.4, "99999"),
        (1e5, "1e5"),
        (123456.0, "1.2346e5"),
        (-2.5e-30, f"{MINUS}2.5e{MINUS}30"),
        (0.999999, "1"),
        (100.0, "100"),
        (30000.0, "30000"),
        (1e300, "1e300"),
        (float("nan"), "NaN"),
        (float("inf"), "Inf"),
        (float("-inf"), f"{MINUS}Inf"),
        (7, "7"),
        (-12345678, f"{MINUS}12{THIN_SPACE}345{THIN_SPACE}678"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number_text(value) == text


@unhurried
@given(st.floats(-1e307, 1e307), st.integers(2, 9))
def test_a_number_is_right_to_its_digits(value: float, digits: int) -> None:
    text = number_text(value, digits)
    assert "-" not in text
    assert not re.search(r"\.\d*0(e|$)", text)
    back = float(text.replace(MINUS, "-"))
    assert math.isclose(back, value, rel_tol=0.5000001 * 10 ** (1 - digits), abs_tol=1e-320)


# Elision


@unhurried
@given(st.text(max_size=40), st.integers(1, 50))
def test_elided_text_keeps_both_ends(text: str, length: int) -> None:
    elided = elide_middle(text, length)
    assert len(elided) == min(length, len(text))
    if len(text) > length:
        head, _, tail = elided.partition("\u2026") if "\u2026" not in text else ("", "", "")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert abs(len(head) - len(tail)) <= 1
    else:
        assert elided == text
