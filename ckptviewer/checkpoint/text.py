"""Texts for people: sizes, counts, shapes and numbers; and the natural order of names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

THIN_SPACE = "\u2009"
MINUS = "\u2212"

_DIGITS = re.compile(rb"[0-9]+")
_BELOW_ALL = bytes.maketrans(b"/", b"\x00")
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


_MANY_DIGITS = 16
_FEW_NAMES = 500


def natural_keys(names: Iterable[str]) -> list[bytes]:
    """A sort key for each name, such that sorting by them is the natural order of the names.

    Natural order goes component by component ("/" separates), and runs of digits compare as
    numbers: `vars/2` before `vars/10`, `a/z` before `a-b`. Works as every run of digits is
    preceded by its length.
    """
    names = list(names)
    text = "\n".join(names).encode("utf-8", "surrogatepass")
    if len(names) > _FEW_NAMES and text.count(b"\n") == len(names) - 1:
        prefixed = _all_prefixed(text)
        if prefixed is not None:
            return prefixed.translate(_BELOW_ALL).split(b"\n")
    return [
        _DIGITS.sub(_prefixed, name.encode("utf-8", "surrogatepass")).translate(_BELOW_ALL)
        for name in names
    ]


def _prefixed(match: re.Match[bytes]) -> bytes:
    digits = match.group().lstrip(b"0") or b"0"
    if len(digits) < _MANY_DIGITS:
        return bytes((ord("0") + len(digits),)) + digits
    return b"%c%09d" % (ord("0") + _MANY_DIGITS, len(digits)) + digits


def _all_prefixed(text: bytes) -> bytes | None:
    """Every run of digits in `text` with its length before it, at once; None if one is unusual."""
    import numpy as np

    data = np.frombuffer(text, np.uint8)
    is_digit = np.zeros(len(data) + 2, bool)
    is_digit[1:-1] = (data >= ord("0")) & (data <= ord("9"))
    turns = np.flatnonzero(is_digit[1:] != is_digit[:-1])
    starts, ends = turns[::2], turns[1::2]
    lengths = ends - starts
    if (((data[starts] == ord("0")) & (lengths > 1)) | (lengths >= _MANY_DIGITS)).any():
        return None
    return np.insert(data, starts, (lengths + ord("0")).astype(np.uint8)).tobytes()


def natural_key(name: str) -> bytes:
    """The sort key of one name; see `natural_keys`, which is faster for many."""
    return natural_keys((name,))[0]


def natural_sorted(items: Sequence[T], key: Callable[[T], str]) -> list[T]:
    """The items in the natural order of `key(item)`."""
    keys = natural_keys(map(key, items))
    order = sorted(range(len(items)), key=keys.__getitem__)
    return [items[index] for index in order]


def size_text(count: int) -> str:
    """Bytes in decimal units with two or three digits: "0 B", "262 kB", "1.3 GB"."""
    value = float(count)
    for unit in _SIZE_UNITS:
        if abs(value) < 999.5 or unit == _SIZE_UNITS[-1]:
            break
        value /= 1000
    if unit == "B":
        return f"{count} B"
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def exact_size_text(count: int) -> str:
    """Bytes to the last one: "262 144 bytes"."""
    return f"{count_text(count)} byte{'' if count == 1 else 's'}"


def count_text(count: int) -> str:
    """An integer with thin spaces between groups of three digits."""
    return f"{count:,}".replace(",", THIN_SPACE).replace("-", MINUS)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 variable`, `211 variables`."""
    return f"{count_text(count)} {one if count == 1 else many or one + 's'}"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it: "256 × 1 024", "scalar" for ()."""
    return " × ".join(count_text(size) for size in shape) if shape else "scalar"


def number_text(value: float | None, digits: int = 5) -> str:
    """A number with `digits` significant digits, a true minus, and words for what is none."""
    if value is None:
        return "\u2013"
    if isinstance(value, int):
        return count_text(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else MINUS + "Inf"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 10**digits:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", MINUS)


def elide_middle(text: str, length: int) -> str:
    """`text` in at most `length` characters, an ellipsis in the place of its middle."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    tail = length - 1 - head
    return f"{text[:head]}\u2026{text[len(text) - tail :]}"


def printable(text: str) -> str:
    """`text` without power over a terminal: line breaks and escape sequences become visible."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def capitalised(text: str) -> str:
    """The text with a capital at its beginning, and otherwise as it is."""
    return text[:1].upper() + text[1:]
