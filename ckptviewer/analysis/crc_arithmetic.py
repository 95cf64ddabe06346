"""crc32c of texts that are put together, from the crc32c of their parts.

CRCs are linear over GF(2): a text is a polynomial, its checksum the remainder, and bytes behind it
multiply that by a power of x. So the CRC of two texts on end follows from that of each.
"""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0x82F63B78  # of crc32c, its bits in reverse


def combined_crc(first: int, second: int, second_bytes: int) -> int:
    """The crc32c of two texts on end, from the crc32c of each and the length of the second."""
    return _multiplied(_power_of_x(8 * second_bytes), first) ^ second


@lru_cache(maxsize=1 << 12)
def crc_of_repeated(pattern: bytes, count: int) -> int:
    """The crc32c of `pattern` repeated `count` times, in O(log count) steps."""
    from crc32c import crc32c

    whole, length = 0, 0  # of what is done so far: nothing
    power, power_length = crc32c(pattern), len(pattern)
    while count:
        if count & 1:
            whole = combined_crc(power, whole, length)
            length += power_length
        count >>= 1
        if count:
            power = combined_crc(power, power, power_length)
            power_length *= 2
    return whole


def _multiplied(a: int, b: int) -> int:
    """The product of two polynomials modulo the CRC's; the top bit is the constant term."""
    product = 0
    for position in range(31, -1, -1):
        if a >> position & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=1 << 12)
def _power_of_x(exponent: int) -> int:
    """The power of x with that exponent, modulo the CRC's polynomial."""
    result, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            result = _multiplied(square, result)
        square = _multiplied(square, square)
        exponent >>= 1
    return result
