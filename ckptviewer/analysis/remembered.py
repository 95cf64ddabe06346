"""Statistics remembered: kept between runs in the user's cache, as bytes that need no pickle."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ckptviewer.analysis.histogram import Buckets, Scheme
from ckptviewer.analysis.moments import Moments
from ckptviewer.analysis.summary import Statistics
from ckptviewer.storage.cache import Cache, has_settled, identity_of

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint

VERSION = 1
"""Raise it whenever the same tensor would give other bytes."""

_COUNTS = ("count", "nan", "pos_inf", "neg_inf", "zero", "denormal")
_LEVEL = 1


class Remembered:
    """The statistics of one open checkpoint that are known from before.

    What was measured on other bytes than those that are there now is never given: it goes by the
    identity of the files, taken when this object is made, and by stored checksums where there are
    any. So make it before the first value is read.
    """

    def __init__(self, checkpoint: Checkpoint, cache: Cache) -> None:
        self._checkpoint = checkpoint
        self._cache = cache
        self._identity = identity_of(checkpoint.path)
        self._settled = has_settled(checkpoint.path)

    def known(self, keys: Iterable[str]) -> dict[str, Statistics]:
        """The statistics of those of the variables that were measured before."""
        found: dict[str, Statistics] = {}
        for key, data in self._cache.get_many(self._identity, keys).items():
            statistics = decode(data, self._mark(key))
            if statistics is not None:
                found[key] = statistics
        return found

    def keep(self, measured: Mapping[str, Statistics]) -> None:
        """Remember statistics; not where the files have just been, or were meanwhile, changed."""
        if not self._settled or identity_of(self._checkpoint.path) != self._identity:
            return
        self._cache.put_many(
            self._identity,
            {key: encode(value, self._mark(key)) for key, value in measured.items()},
        )

    def _mark(self, key: str) -> str:
        """What has to be the same of a variable, too: shape, dtype, checksum."""
        variable = self._checkpoint[key]
        checksum = self._checkpoint.checksum(variable)
        return f"{VERSION} {variable.dtype} {variable.shape} {checksum}"


def encode(statistics: Statistics, mark: str = "") -> bytes:
    """Statistics as bytes, marked with what they belong to."""
    head, arrays = _taken_apart(statistics)
    text = json.dumps({"mark": mark, **head}).encode()
    return zlib.compress(b"".join((struct.pack("<I", len(text)), text, *arrays)), _LEVEL)


def decode(data: bytes, mark: str = "") -> Statistics | None:
    """What `encode` was given; None where the mark is another or the bytes are not of this form."""
    try:
        raw = zlib.decompress(data)
        (length,) = struct.unpack_from("<I", raw)
        head = json.loads(raw[4 : 4 + length])
        if head["mark"] != mark:
            return None
        statistics, _ = _put_together(head, raw, 4 + length)
        return statistics
    except (zlib.error, struct.error, ValueError, OverflowError, RecursionError):
        return None
    except (KeyError, TypeError, AttributeError):
        return None


def _taken_apart(statistics: Statistics) -> tuple[dict[str, Any], list[bytes]]:
    buckets = statistics.buckets
    points = buckets.scheme is Scheme.POINTS
    arrays = [
        buckets.ranks.astype("<f8" if points else "<u4").tobytes(),
        buckets.counts.astype("<i8").tobytes(),
    ]
    head: dict[str, Any] = {name: getattr(statistics, name) for name in _COUNTS}
    # float.hex and not JSON's numbers: bit by bit the same, and infinities are no JSON.
    head |= {
        "extremes": [_as_json(statistics.min), _as_json(statistics.max)],
        "distinct": statistics.distinct,
        "sampled": statistics.sampled,
        "state": [value.hex() for value in map(float, statistics.moments.state)],
        "exponent": statistics.moments.exponent,
        "scheme": str(buckets.scheme),
        "zeros": buckets.zeros,
        "range": [buckets.low.hex(), buckets.high.hex()],
        "ranks": len(buckets.ranks),
        "lengths": None,
    }
    if statistics.lengths is not None:
        head["lengths"], more = _taken_apart(statistics.lengths)
        arrays += more
    return head, arrays


def _put_together(head: dict[str, Any], raw: bytes, at: int) -> tuple[Statistics, int]:
    scheme = Scheme(head["scheme"])
    points = scheme is Scheme.POINTS
    size = head["ranks"]
    stored = np.frombuffer(raw, "<f8" if points else "<u4", size, at)
    ranks = stored.astype(np.float64) if points else stored.astype(np.uint32)
    at += stored.nbytes
    counts = np.frombuffer(raw, "<i8", size, at).astype(np.int64)
    at += counts.nbytes
    low, high = map(float.fromhex, head["range"])
    n, total, rest, m2, m3, m4, absolute = map(float.fromhex, head["state"])
    lengths = None
    if head["lengths"] is not None:
        lengths, at = _put_together(head["lengths"], raw, at)
    return Statistics(
        **{name: int(head[name]) for name in _COUNTS},
        min=_from_json(head["extremes"][0]),
        max=_from_json(head["extremes"][1]),
        moments=Moments((n, total, rest, m2, m3, m4, absolute), int(head["exponent"])),
        buckets=Buckets(scheme, ranks, counts, int(head["zeros"]), low, high),
        distinct=head["distinct"],
        sampled=bool(head["sampled"]),
        lengths=lengths,
    ), at


def _as_json(value: float | None) -> int | str | None:
    return float(value).hex() if isinstance(value, float) else value


def _from_json(value: int | str | None) -> float | None:
    return float.fromhex(value) if isinstance(value, str) else value
