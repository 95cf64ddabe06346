"""Whether validation data fits the inputs of a model, told before anything is run."""

from __future__ import annotations

from dataclasses import replace

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.validation.datasets import Column, Dataset, an_error, listed, shown_shape
from ckptviewer.validation.features import parsed
from ckptviewer.validation.protocol import DataKind, DataSpec, SignatureInfo, TensorInfo

_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


def check_inputs(data: Dataset, spec: DataSpec, signature: SignatureInfo) -> tuple[Finding, ...]:
    """What of the data does not fit the model's inputs: missing keys, wrong shapes and dtypes."""
    if data.kind is DataKind.RANDOM or not data.columns:
        return ()
    records = data.kind is DataKind.TFRECORD
    if records:
        data = parsed(data, spec, signature.inputs)
    elif data.kind is DataKind.IMAGES:
        data = _pictures_as_read(data, spec)
    findings = []
    for wanted in signature.inputs:
        by_name = spec.inputs.get(wanted.name, wanted.name) in data.by_key
        if records and len(signature.inputs) == 1 and wanted.dtype == "string" and not by_name:
            continue  # it takes the whole examples
        column = _column_for(wanted, data, spec, alone=len(signature.inputs) == 1)
        if column is None:
            if data.kind is DataKind.CSV and len(signature.inputs) == 1:
                continue  # its columns are put together
            findings.append(
                an_error(
                    "missing-input",
                    f"The model's input {wanted.name} has no data.",
                    f"The data has {listed(data.by_key)}; say which belongs to it.",
                )
            )
            continue
        if not _shapes_fit(column.shape, wanted.shape):
            findings.append(
                an_error(
                    "wrong-shape",
                    f"{column.key} has examples of shape {shown_shape(column.shape)}, and the "
                    f"model's input {wanted.name} takes "
                    f"{shown_shape((wanted.shape or (None,))[1:])}.",
                    "Reshape the data, or choose another key for the input.",
                )
            )
        if (column.dtype == "string") != (wanted.dtype == "string"):
            findings.append(
                an_error(
                    "wrong-dtype",
                    f"{column.key} is {column.dtype}, and the model's input {wanted.name} takes "
                    f"{wanted.dtype}.",
                    "Text and numbers are never converted into each other.",
                )
            )
    return tuple(findings)


def _pictures_as_read(data: Dataset, spec: DataSpec) -> Dataset:
    """Pictures in the size and the colours that were said; what was not is the model's."""
    height, width = spec.image_size or (None, None)
    shape = (height, width, _CHANNELS.get(spec.color))
    columns = [replace(e, shape=shape) if e.key == "x" else e for e in data.columns]
    return replace(data, columns=tuple(columns))


def _column_for(wanted: TensorInfo, data: Dataset, spec: DataSpec, *, alone: bool) -> Column | None:
    columns = data.by_key
    key = spec.inputs.get(wanted.name, wanted.name)
    if key in columns:
        return columns[key]
    if not alone or wanted.name in spec.inputs:
        return None
    if "x" in columns:
        return columns["x"]
    others = [column for column in data.columns if column.key != data.target]
    return others[0] if len(others) == 1 else None


def _shapes_fit(
    column: tuple[int | None, ...] | None, wanted: tuple[int | None, ...] | None
) -> bool:
    if column is None or wanted is None:
        return True
    wanted = wanted[1:]
    if len(column) != len(wanted):
        # A vector may lack its last axis of one, as the worker adds it.
        return column == () and wanted in ((1,), (None,))
    return all(
        have is None or want is None or have == want
        for have, want in zip(column, wanted, strict=True)
    )
