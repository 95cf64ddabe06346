"""Validation data: arrays by key, in batches, as often as they are asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from .model import Arrays, Model, Tensor
from .problems import DataProblem, wrapped

Batches = Callable[[], Iterator[Arrays]]


class Source:
    """Where data comes from.

    batches: starts anew at each call; every batch has the same keys, examples first.
    count: how many examples; None while unknown. target: key of the truth; "" where there is none.
    """

    def __init__(
        self,
        batches: Batches,
        count: int | None,
        target: str,
        class_names: Sequence[str] = (),
    ) -> None:
        self.batches = batches
        self.count = count
        self.target = target
        self.class_names = list(class_names)


def open_data(spec: dict[str, Any], model: Model) -> Source:
    """The data of a request. Raises DataProblem."""
    for path in spec["paths"]:
        if not os.path.exists(path):
            raise DataProblem(f"there is no data at {path}", "Choose the data again.")
    fixed = [each.shape[0] for each in model.signature.inputs if each.shape and each.shape[0]]
    if fixed and spec["kind"] != "random":  # a model that takes so many at a time, and no more
        spec = {**spec, "batch_size": min(spec["batch_size"], *fixed)}
    try:
        return _limited(_open(spec, model), spec["limit"])
    except (OSError, ValueError, EOFError) as error:
        raise wrapped(DataProblem, "the data cannot be read", error) from error


def _open(spec: dict[str, Any], model: Model) -> Source:
    kind = spec["kind"]
    if kind == "random":
        return _random(spec, model)
    if not spec["paths"]:
        raise DataProblem("no file of data was named", "Name one.")
    if kind in ("npz", "npy"):
        arrays = _npz(spec["paths"]) if kind == "npz" else _npy(spec["paths"])
        return from_arrays(arrays, spec)
    if kind == "csv":
        return from_arrays(_csv(spec, model), spec)
    if kind == "tfrecord":
        from .records import open_records

        return open_records(spec, model)
    if kind == "images":
        from .images import open_images

        return open_images(spec, model)
    raise DataProblem(f"there is no kind of data {kind!r}")


def from_arrays(arrays: Arrays, spec: dict[str, Any]) -> Source:
    """Arrays in memory or mapped, cut into batches. Raises DataProblem."""
    counts = {key: len(each) if each.ndim else -1 for key, each in arrays.items()}
    if not arrays or -1 in counts.values() or len(set(counts.values())) != 1:
        shown = ", ".join(
            f"{key}: {count if count >= 0 else 'one value'}" for key, count in counts.items()
        )
        raise DataProblem(
            f"the arrays do not hold the same number of examples ({shown or 'there is none'})",
            "The first axis of each array counts the examples.",
        )
    (count,) = set(counts.values())
    size = spec["batch_size"]

    def batches() -> Iterator[Arrays]:
        for start in range(0, count, size):
            yield {key: np.asarray(each[start : start + size]) for key, each in arrays.items()}

    return Source(batches, count, target_key(arrays, spec["target"]), spec["class_names"])


_TRUTHS = ("y", "label", "labels", "target", "targets", "y_true", "y_test", "y_val", "class")


def target_key(keys: Any, wanted: str) -> str:
    """The key of the truth: the one asked for, or a usual name; "" where there is none.

    Raises DataProblem.
    """
    if wanted:
        if wanted not in keys:
            raise DataProblem(
                f"the data has no key {wanted!r} for the truth", f"It has {', '.join(keys)}."
            )
        return wanted
    return next((name for name in _TRUTHS if name in keys), "")


def _npz(paths: Sequence[str]) -> Arrays:
    arrays: Arrays = {}
    for path in paths:
        # Object arrays are pickles, which run code.
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise DataProblem(f"{path} holds one array, and an .npz is needed")
            arrays.update({key: file[key] for key in file.files})
    return arrays


def _npy(paths: Sequence[str]) -> Arrays:
    names = (
        ["x", "y"]
        if len(paths) == 2
        else [os.path.splitext(os.path.basename(path))[0] for path in paths]
    )
    if len(paths) == 1:
        names = ["x"]
    return {
        name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in zip(names, paths)
    }


def _csv(spec: dict[str, Any], model: Model) -> Arrays:
    header, rows = _rows(spec["paths"])
    if not rows:
        raise DataProblem("the CSV file has no rows")
    columns = {name: _column([row[at] for row in rows]) for at, name in enumerate(header)}
    target = spec["target"] or next((name for name in _TRUTHS if name in columns), header[-1])
    if target not in columns:
        raise DataProblem(
            f"the CSV file has no column {target!r}", f"It has {', '.join(header[:20])}."
        )
    wanted = {spec["inputs"].get(each.name, each.name) for each in model.signature.inputs}
    if len(header) == 1 or (wanted and wanted <= set(columns)):
        return columns
    features = [name for name in header if name != target]
    text = [name for name in features if columns[name].dtype.kind in "US"]
    if text:
        raise DataProblem(
            f"the column {text[0]!r} is not numeric, and the model has no input of its name",
            "Map the columns to the model's inputs.",
        )
    table = np.stack([columns[name] for name in features], axis=1)
    spec["target"] = "y"
    return {"x": _folded(table, model), "y": columns[target]}


def _rows(paths: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    header: list[str] = []
    rows: list[list[str]] = []
    for path in paths:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file)):
                if not row:
                    continue
                if number == 0 and not all(_is_number(cell) for cell in row):
                    header = row
                    continue
                header = header or [str(at) for at in range(len(row))]
                if len(row) != len(header):
                    raise DataProblem(
                        f"row {number + 1} of {path} has {len(row)} cells, and the first has "
                        f"{len(header)}"
                    )
                rows.append(row)
    return header, rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(cells: list[str]) -> Any:
    for kind in (np.int64, np.float64):
        try:
            return np.array(cells).astype(kind)
        except (ValueError, OverflowError):
            continue
    return np.array([cell.encode("utf-8") for cell in cells], object)


def _folded(table: Any, model: Model) -> Any:
    """Rows in the shape of the model's only input, where it has as many elements."""
    inputs = model.signature.inputs
    if len(inputs) != 1 or inputs[0].shape is None:
        return table
    axes = inputs[0].shape[1:]
    sizes = [axis or 0 for axis in axes]
    if None not in axes and int(np.prod(sizes)) == table.shape[1]:
        return table.reshape((len(table), *sizes))
    return table


FREE_AXIS = 16


def _random(spec: dict[str, Any], model: Model) -> Source:
    inputs = model.signature.inputs
    if not inputs or any(each.shape is None for each in inputs):
        raise DataProblem(
            "the model does not say the shapes of its inputs, so that nothing can be made up",
            "Give data.",
        )
    generator = np.random.default_rng(spec["seed"])
    count = spec["limit"] or spec["batch_size"]
    arrays = {each.name: _made_up(each, count, generator) for each in inputs}
    fixed = {len(each) for each in arrays.values()}
    if len(fixed) == 1 and fixed != {count}:
        # The first axis is not free: one call takes just as many.
        spec = {**spec, "batch_size": fixed.pop(), "limit": None}
    return from_arrays(arrays, {**spec, "target": ""})


def _made_up(tensor: Tensor, count: int, generator: Any) -> Any:
    shape = tensor.shape or ()
    axes = [FREE_AXIS if axis is None else axis for axis in shape]
    if shape and shape[0] is None:
        axes[0] = count
    if not shape:
        raise DataProblem(
            f"the input {tensor.name!r} is a single number, not a batch", "Choose other inputs."
        )
    if tensor.dtype == "string":
        raise DataProblem(
            f"the input {tensor.name!r} takes strings, which cannot be made up", "Give data."
        )
    if tensor.dtype == "bool":
        return generator.integers(0, 2, axes).astype(bool)
    if tensor.dtype.startswith(("int", "uint")):
        return generator.integers(0, 10, axes).astype(tensor.dtype)
    values = generator.random(axes)
    return values.astype("float64" if tensor.dtype == "float64" else "float32")


def _limited(source: Source, limit: int | None) -> Source:
    if limit is None or (source.count is not None and source.count <= limit):
        return source
    whole = source.batches

    def batches() -> Iterator[Arrays]:
        left = limit
        for batch in whole():
            size = min(left, *(len(each) for each in batch.values()))
            yield {key: each[:size] for key, each in batch.items()}
            left -= size
            if left <= 0:
                return

    return Source(
        batches,
        limit if source.count is not None else None,
        source.target,
        source.class_names,
    )
