"""Each class by itself, the confusion matrix, and the examples that went worst."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import forms
from .forms import NUMBERS, Form

_MOST_CLASSES = 1000
_MOST_IN_MATRIX = 256
_SHOWN_VALUES = 4


class ClassCounts:
    """How often each class was which, over a run."""

    def __init__(self, form: Form, names: Sequence[str]) -> None:
        self._names = names
        self._counted = form.kind != NUMBERS and form.classes <= _MOST_CLASSES
        size = form.classes if self._counted else 0
        self._matrix = np.zeros((size, size), np.int64)
        self._form = form

    def update(self, truth: Any, output: Any) -> None:
        """Count one batch. truth: as `forms.shaped` gives it."""
        if not self._counted:
            return
        true = forms.true_classes(truth, self._form).reshape(-1)
        named = forms.decisions(output, self._form).reshape(-1)
        np.add.at(self._matrix, (true, named), 1)

    def classes(self) -> list[dict[str, Any]]:
        """The protocol's ClassMetrics."""
        result = []
        for number in range(len(self._matrix)):
            count = int(self._matrix[number].sum())
            predicted = int(self._matrix[:, number].sum())
            correct = int(self._matrix[number, number])
            precision = correct / predicted if predicted else None
            recall = correct / count if count else None
            result.append(
                {
                    "label": label(number, self._names),
                    "count": count,
                    "predicted": predicted,
                    "correct": correct,
                    "precision": precision,
                    "recall": recall,
                    "f1": 2 * correct / (count + predicted) if count + predicted else None,
                }
            )
        return result

    def confusion(self) -> list[list[int]]:
        """Rows are the truth; empty where there are too many classes to look at."""
        return self._matrix.tolist() if len(self._matrix) <= _MOST_IN_MATRIX else []


def label(number: int, names: Sequence[str]) -> str:
    """The name of a class, its number where it has none."""
    return str(names[number]) if 0 <= number < len(names) else str(number)


class Worst:
    """The examples with the greatest loss."""

    def __init__(self, most: int, form: Form, names: Sequence[str]) -> None:
        self._most = most
        self._form = form
        self._names = names
        self._heap: list[tuple[float, int, dict[str, Any]]] = []

    def update(self, truth: Any, output: Any, start: int) -> None:
        """Look at one batch, whose first example has the index `start`."""
        if not self._most:
            return
        costs = forms.example_losses(truth, output, self._form)
        # Not a number is worse than any.
        ranked = np.where(np.isnan(costs), np.inf, costs)
        for at in np.argsort(-ranked, kind="stable")[: self._most]:
            cost, index = float(ranked[at]), start + int(at)
            if len(self._heap) == self._most and cost <= self._heap[0][0]:
                return
            entry = (cost, -index, self._example(index, cost, truth[at], output[at]))
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, entry)
            else:
                heapq.heapreplace(self._heap, entry)

    def _example(self, index: int, cost: float, truth: Any, output: Any) -> dict[str, Any]:
        shown, prediction, confidence = self._texts(truth, output)
        return {
            "index": index,
            "loss": cost,
            "truth": shown,
            "prediction": prediction,
            "confidence": confidence,
        }

    def _texts(self, truth: Any, output: Any) -> tuple[str, str, float | None]:
        form = self._form
        if form.kind == NUMBERS:
            return _values(truth), _values(output), None
        true = np.asarray(forms.true_classes(truth[None], form)).reshape(-1)
        named = np.asarray(forms.decisions(output[None], form)).reshape(-1)
        confidence = None
        if named.size == 1:
            likely = forms.probabilities(output[None], form).reshape(-1)
            confidence = float(likely.max())
            if form.kind == forms.BINARY:
                confidence = float(likely[0] if named[0] else 1 - likely[0])
        texts = [
            ", ".join(label(int(each), self._names) for each in values[:_SHOWN_VALUES])
            + (", …" if values.size > _SHOWN_VALUES else "")
            for values in (true, named)
        ]
        return texts[0], texts[1], confidence

    def examples(self) -> list[dict[str, Any]]:
        """The protocol's Examples, the worst first."""
        return [example for _, _, example in sorted(self._heap, key=lambda e: (-e[0], -e[1]))]


def _values(values: Any) -> str:
    flat = np.asarray(values).reshape(-1)
    shown = ", ".join(f"{float(each):.6g}" for each in flat[:_SHOWN_VALUES])
    return shown + (", …" if flat.size > _SHOWN_VALUES else "")
