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
            if name not in before:
                continue
            output = self._outputs.setdefault(name, _Output(name))
            if before[name].shape == array.shape:
                output.update(before[name], array, batch.start)
            else:
                output.differ(len(array), batch.start)

    def plain(self) -> list[dict[str, Any]]:
        """The protocol's OutputAgreements."""
        return [each.plain() for each in self._outputs.values()]


class _Output:
    """One output. What is no number in both agrees on nothing: it counts, and not as the same."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._examples = 0
        self._close = 0
        self._has_argmax = False
        self._decided = 0
        self._same = 0
        self._max = 0.0
        self._sum = 0.0
        self._values = 0
        self._differing: list[int] = []
        self._nonfinite = 0
        self._nonfinite_examples = 0
        self._nonfinite_at: list[int] = []

    def update(self, before: Any, now: Any, start: int) -> None:
        count = len(now)
        if not count:
            return
        one, other = (np.asarray(each, np.float64).reshape(count, -1) for each in (before, now))
        self._examples += count
        nowhere = self._leave_out(one, other, start)
        close = np.isclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True).all(axis=1)
        close &= ~nowhere.all(axis=1)
        self._close += int(close.sum())
        with np.errstate(all="ignore"):
            delta = np.abs(other - one)[~nowhere]
        # A number against none is as far apart as can be told.
        delta = np.where(np.isnan(delta), np.inf, delta)
        self._max = max(self._max, float(delta.max(initial=0.0)))
        self._sum += float(delta.sum())
        self._values += delta.size
        differs = ~close
        if now.ndim > 1 and now.shape[-1] > 1:
            same = before.argmax(axis=-1) == now.argmax(axis=-1)
            # The largest of what has NaN is NaN, wherever it stands: that decides nothing.
            lost = np.isnan(one) | np.isnan(other)
            same &= ~lost.reshape(now.shape).any(axis=-1)
            same &= ~nowhere.reshape(now.shape).all(axis=-1)
            self._has_argmax = True
            self._decided += same.size
            self._same += int(same.sum())
            differs = ~same.reshape(count, -1).all(axis=1)
        _list(self._differing, differs, start)

    def differ(self, count: int, start: int) -> None:
        """So many examples have outputs of another shape."""
        self._examples += count
        self._decided += count
        _list(self._differing, np.ones(count, bool), start)

    def _leave_out(self, one: Any, other: Any, start: int) -> Any:
        """Count what is finite in neither; tells where that is."""
        nowhere = ~np.isfinite(one) & ~np.isfinite(other)
        examples = nowhere.any(axis=1)
        self._nonfinite += int(nowhere.sum())
        self._nonfinite_examples += int(examples.sum())
        _list(self._nonfinite_at, examples, start)
        return nowhere

    def plain(self) -> dict[str, Any]:
        argmax = self._same / self._decided if self._has_argmax and self._values else None
        close = self._close / self._examples if self._values else None
        return {
            "output": self._name,
            "examples": self._examples,
            "argmax": argmax,
            "agreement": argmax if argmax is not None else close,
            "max_abs": self._max if self._values else None,
            "mean_abs": self._sum / self._values if self._values else None,
            "differing": self._differing,
            "nonfinite": self._nonfinite,
            "nonfinite_examples": self._nonfinite_examples,
            "nonfinite_at": self._nonfinite_at,
        }


def _list(places: list[int], which: Any, start: int) -> None:
    """Add the places of the examples that are meant, as long as there is room."""
    room = _MOST_LISTED - len(places)
    places += [start + int(at) for at in np.flatnonzero(which)[:room]]
