"""What an output means beside the truth: classes, yes or no, or numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .problems import DataProblem, MetricProblem

SPARSE = "sparse"  # one class of several, truth by number
CATEGORICAL = "categorical"  # one class of several, truth one-hot
BINARY = "binary"  # yes or no, of one or several labels
NUMBERS = "numbers"


class Form(NamedTuple):
    """kind: one of the above. classes: how many there are; 0 for numbers. logits: whether outputs
    are logits and not probabilities.
    """

    kind: str
    classes: int
    logits: bool


def form_of(truth: Any, output: Any, logits: bool | None, loss: str) -> Form:
    """The form of an output, told by its first batch. logits: what the user says, or None.

    loss: name of the loss that the model was compiled with. Raises MetricProblem.
    """
    last = output.shape[-1] if output.ndim > 1 else 1
    if last > 1 and _counts(truth):
        same = truth.shape == output.shape
        if not same and _without_last(truth).shape == output.shape[:-1]:
            _check_range(truth, last)
            return Form(SPARSE, last, _logits(output, logits, rows=True))
        if same and _zero_or_one(truth):
            one_hot = bool(np.all(truth.sum(axis=-1) == 1))
            if one_hot and "binary" not in loss:
                return Form(CATEGORICAL, last, _logits(output, logits, rows=True))
            return Form(BINARY, 2, _logits(output, logits, rows=False))
    if last == 1 and truth.size == output.size and _zero_or_one(truth):
        unit = bool(np.all((output >= 0) & (output <= 1)))
        if truth.dtype.kind != "f" or unit or "binary" in loss:
            return Form(BINARY, 2, _logits(output, logits, rows=False))
    if truth.size != output.size:
        raise MetricProblem(
            f"the truth has the shape {list(truth.shape)} and the output {list(output.shape)} in a "
            "batch: they cannot be compared",
            "Choose another output, or another key of the data for the truth.",
        )
    return Form(NUMBERS, 0, False)


def shaped(truth: Any, output: Any, form: Form) -> Any:
    """The truth in the shape that goes with an output of this form."""
    if form.kind == SPARSE:
        return (
            _without_last(truth).astype(np.int64)
            if truth.ndim == output.ndim
            else (truth.astype(np.int64))
        )
    return truth.reshape(output.shape).astype(
        output.dtype if output.dtype.kind == "f" else np.float32
    )


def probabilities(output: Any, form: Form) -> Any:
    """Outputs as probabilities in float64: softmax or sigmoid of what are logits."""
    values = np.asarray(output, np.float64)
    if not form.logits:
        return values
    if form.kind == BINARY:
        return 1.0 / (1.0 + np.exp(-np.clip(values, -700, 700)))
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def decisions(output: Any, form: Form) -> Any:
    """Which class an output names: the number of its largest element, or 0 and 1."""
    if form.kind == BINARY:
        return (output > (0.0 if form.logits else 0.5)).astype(np.int64)
    return output.argmax(axis=-1)


def true_classes(truth: Any, form: Form) -> Any:
    """The truth as numbers of classes. truth: as `shaped` gives it."""
    if form.kind == CATEGORICAL:
        return truth.argmax(axis=-1)
    return truth.astype(np.int64)


def example_losses(truth: Any, output: Any, form: Form) -> Any:
    """What each example costs: cross entropy, or the mean squared error; float64 [examples]."""
    with np.errstate(all="ignore"):
        if form.kind == NUMBERS:
            costs = (np.asarray(output, np.float64) - truth) ** 2
        elif form.kind == BINARY:
            likely = np.clip(probabilities(output, form), 1e-7, 1 - 1e-7)
            costs = -(truth * np.log(likely) + (1 - truth) * np.log(1 - likely))
        else:
            likely = probabilities(output, form)
            picked = np.take_along_axis(likely, true_classes(truth, form)[..., None], axis=-1)
            costs = -np.log(np.clip(picked, 1e-300, None))
    return np.asarray(costs).reshape(len(output), -1).mean(axis=1)


def labels_as_numbers(truth: Any, class_names: Any) -> Any:
    """Truth that is text, by the classes' numbers. Raises DataProblem."""
    if truth.dtype.kind not in "OSU":
        return truth
    numbers = {str(name): number for number, name in enumerate(class_names)}
    texts = [
        each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
        for each in truth.reshape(-1).tolist()
    ]
    unknown = next((text for text in texts if text not in numbers), None)
    if unknown is not None:
        raise DataProblem(
            f"the truth is text ({unknown!r}), and which class that is nobody said",
            "Name the classes in their order.",
        )
    return np.array([numbers[text] for text in texts], np.int64).reshape(truth.shape)


def _counts(truth: Any) -> bool:
    return truth.dtype.kind in "biu" or bool(np.all(truth == np.trunc(truth)))


def _zero_or_one(truth: Any) -> bool:
    return truth.dtype.kind in "biuf" and bool(np.all((truth == 0) | (truth == 1)))


def _without_last(truth: Any) -> Any:
    return truth[..., 0] if truth.ndim > 1 and truth.shape[-1] == 1 else truth


def _check_range(truth: Any, classes: int) -> None:
    low, high = int(truth.min()), int(truth.max())
    if low < 0 or high >= classes:
        raise MetricProblem(
            f"the truth names class {high if high >= classes else low}, and the output has the "
            f"classes 0 to {classes - 1}",
            "Does the data number its classes from 1? Or is it another output that is meant?",
        )


def _logits(output: Any, said: bool | None, rows: bool) -> bool:
    if said is not None:
        return said
    finite = output[np.isfinite(output)]
    if finite.size and (finite.min() < 0 or finite.max() > 1):
        return True
    if not rows:
        return False
    return not bool(np.allclose(np.asarray(output, np.float64).sum(axis=-1), 1, atol=1e-2))
