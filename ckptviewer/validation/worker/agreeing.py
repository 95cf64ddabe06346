"""How far the outputs of two runs over the same data agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .model import Arrays
from .spool import Spool

_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_MOST_LISTED = 20


class Agreement:
    """Compares batch by batch with those of an earlier run."""

    def __init__(self, earlier: Spool) -> None:
        self._earlier: Iterator[Arrays] = iter(earlier)
        self._outputs: dict[str, _Output] = {}

    def update(self, batch: Any, outputs: Arrays) -> None:
        """Compare the next batch."""
        before = next(self._earlier, {})
        for name, array in outputs.items():
            if name in before and before[name].shape == array.shape:
                self._outputs.setdefault(name, _Output(name)).update(
                    before[name], array, batch.start
                )

    def plain(self) -> list[dict[str, Any]]:
        """The protocol's OutputAgreements."""
        return [each.plain() for each in self._outputs.values()]


class _Output:
    def __init__(self, name: str) -> None:
        self._name = name
        self._examples = 0
        self._close = 0
        self._decided = 0
        self._same = 0
        self._max = 0.0
        self._sum = 0.0
        self._values = 0
        self._differing: list[int] = []

    def update(self, before: Any, now: Any, start: int) -> None:
        count = len(now)
        if not count:
            return
        one, other = (np.asarray(each, np.float64).reshape(count, -1) for each in (before, now))
        self._examples += count
        close = np.isclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True).all(axis=1)
        self._close += int(close.sum())
        with np.errstate(all="ignore"):
            delta = np.abs(other - one)
        delta = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, delta)
        # A number against none is as far apart as can be told.
        delta = np.where(np.isnan(delta), np.inf, delta)
        self._max = max(self._max, float(delta.max(initial=0.0)))
        self._sum += float(delta.sum())
        self._values += delta.size
        differs = ~close
        if now.ndim > 1 and now.shape[-1] > 1:
            same = before.argmax(axis=-1) == now.argmax(axis=-1)
            # The largest of what has NaN is NaN, wherever it stands: that decides nothing.
            lost = [np.isnan(each).reshape(now.shape).any(axis=-1) for each in (one, other)]
            same &= lost[0] == lost[1]
            self._decided += same.size
            self._same += int(same.sum())
            differs = ~same.reshape(count, -1).all(axis=1)
        room = _MOST_LISTED - len(self._differing)
        self._differing += [start + int(at) for at in np.flatnonzero(differs)[:room]]

    def plain(self) -> dict[str, Any]:
        argmax = self._same / self._decided if self._decided else None
        close = self._close / self._examples if self._examples else None
        return {
            "output": self._name,
            "examples": self._examples,
            "argmax": argmax,
            "agreement": argmax if argmax is not None else close,
            "max_abs": self._max if self._examples else None,
            "mean_abs": self._sum / self._values if self._values else None,
            "differing": self._differing,
        }
