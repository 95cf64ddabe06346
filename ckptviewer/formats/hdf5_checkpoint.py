"""A checkpoint whose values lie in HDF5 files: one, or several shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import COPY_FILE, CkptviewerError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import Description
from ckptviewer.checkpoint.text import natural_keys, shape_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.hdf5 import Dataset, Hdf5File
from ckptviewer.formats.hdf5_metadata import UNDEFINED
from ckptviewer.formats.hdf5_types import CHUNKED, COMPACT, CONTIGUOUS
from ckptviewer.formats.hdf5_values import DatasetValues, stored_bytes

if TYPE_CHECKING:
    import numpy as np

_LAYOUTS = {COMPACT: "compact", CONTIGUOUS: "contiguous", CHUNKED: "chunked"}


class Stored(NamedTuple):
    """Where a variable is: the file that holds it, and the dataset in it."""

    shard: int
    dataset: Dataset


class Hdf5Checkpoint(Checkpoint):
    """An open checkpoint in HDF5 files."""

    def __init__(
        self,
        files: Sequence[Hdf5File],
        stored: Mapping[str, Stored],
        *,
        path: str,
        format_name: str,
        variables: Sequence[Variable],
        written_by: str | None = None,
        findings: Sequence[Finding] = (),
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """files: those that hold the values. stored: by the keys of the variables."""
        super().__init__(
            path=path,
            format_name=format_name,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
        )
        self._files = files
        self._stored = stored

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return self._values(variable).read(region)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        return self._values(variable).chunks(chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        file, dataset = self._find(variable)
        layout = dataset.layout
        facts: dict[str, str] = {}
        if len(self._files) > 1:
            facts["File"] = file.source.name
        facts["Layout"] = _LAYOUTS.get(layout.kind, "not read here")
        if layout.kind == CHUNKED:
            facts["Chunks"] = shape_text(layout.chunk)
            facts["Compression"] = ", ".join(each.name for each in dataset.filters) or "none"
        elif layout.kind == CONTIGUOUS and layout.address != UNDEFINED:
            facts["Offset"] = f"{file.base + layout.address:,}"
        if dataset.type.big_endian:
            facts["Byte order"] = "big-endian"
        facts["Object header"] = f"{file.base + dataset.address:,}"
        try:
            for name, value in file.attributes(dataset.address).items():
                facts[f"Attribute {name}"] = str(value)[:1000]
        except CkptviewerError as error:
            facts["Attributes"] = f"cannot be read: {error.what}"
        return facts

    def release(self) -> None:
        for file in self._files:
            file.metadata.forget()
            file.source.release()

    def _find(self, variable: Variable) -> tuple[Hdf5File, Dataset]:
        stored = self._stored.get(self[variable.key].key)
        assert stored is not None  # every variable listed is stored
        return self._files[stored.shard], stored.dataset

    def _values(self, variable: Variable) -> DatasetValues:
        return DatasetValues(*self._find(variable))


def variables_of(
    files: Sequence[Hdf5File],
    stored: Mapping[str, Stored],
    descriptions: Mapping[str, Description],
    findings: list[Finding],
) -> list[Variable]:
    """A Variable for each dataset, in natural order; adds a finding for each unreadable one."""
    with ExitStack() as counts:  # indices of chunks may be shared: they count as a whole
        for file in files:
            counts.enter_context(file.metadata.counting())
        sizes = {
            key: stored_bytes(files[shard], dataset) for key, (shard, dataset) in stored.items()
        }
    keys = list(stored)
    sortable = natural_keys(keys)
    sharded = len(files) > 1
    variables = []
    for index in sorted(range(len(keys)), key=sortable.__getitem__):
        key = keys[index]
        shard, dataset = stored[key]
        about = descriptions[key]
        variables.append(
            Variable(
                key,
                about.name,
                dataset.type.dtype,
                dataset.shape,
                sizes[key],
                about.role,
                about.slot_of,
                about.slot_name,
                about.trainable,
                about.object_path,
                shard if sharded else -1,
            )
        )
        if dataset.problem:
            findings.append(_unreadable(key, dataset))
    return variables


def _unreadable(key: str, dataset: Dataset) -> Finding:
    if dataset.is_refused:
        return Finding(
            code="refused-variable",
            severity=Severity.WARNING,
            message=f"{key} is not read: {dataset.problem}.",
            remedy="Rewrite the file with plain datasets (h5repack), or save the model again.",
            variable=key,
        )
    return Finding(
        code="unreadable-variable",
        severity=Severity.ERROR,
        message=f"{key} cannot be read: {dataset.problem}.",
        remedy=COPY_FILE,
        variable=key,
    )
