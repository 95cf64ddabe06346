"""Validation data as the program sees it, without TensorFlow: what is in it, and whether it fits.

Only headers, framing and names are read, never the values. What is wrong is found before a model
is loaded; what only the model can tell, its worker tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ckptviewer.checkpoint.errors import (
    NotACheckpointError,
    PathNotFoundError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural, printable
from ckptviewer.storage.byte_source import LocalFile
from ckptviewer.validation.csv_files import BadDataError, read_csv
from ckptviewer.validation.protocol import DataKind, DataSpec
from ckptviewer.validation.tfrecords import FoundFeature, Records, read_records

TRUTHS = ("y", "label", "labels", "target", "targets", "y_true", "y_test", "y_val", "class")
"""Usual names of the truth, the likeliest first; the worker takes the same."""

_PICTURES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif"))
_RECORDS = (".tfrecord", ".tfrecords", ".tfrec", ".tfr", ".records", ".gz", ".zlib")
_MOST_PICTURES = 1_000_000
_MOST_CLASSES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One array, column or feature of the data.

    shape: without the axis of examples; None where it is unknown, as is each axis that is None.
    count: how many examples it has; None where it is not known.
    """

    key: str
    dtype: str
    shape: tuple[int | None, ...] | None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is in the data.

    count: how many examples; None where it is not known. classes: of a folder of images, with how
    many pictures each has. compression, features: of TFRecords. target: key of the truth; "" for
    none.
    """

    kind: DataKind
    paths: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    count: int | None = None
    classes: tuple[tuple[str, int], ...] = ()
    compression: str = ""
    features: tuple[FoundFeature, ...] = ()
    target: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def by_key(self) -> dict[str, Column]:
        """The columns by their keys."""
        return {column.key: column for column in self.columns}

    @property
    def sound(self) -> bool:
        """Whether nothing was found that keeps it from being run."""
        return not any(each.severity is Severity.ERROR for each in self.findings)


def kind_of(paths: Sequence[str]) -> DataKind:
    """What sort of data lies there, by content where that tells. Raises BadDataError and so on."""
    if not paths:
        raise BadDataError("no file of data was named", remedy="Name one.")
    first = Path(paths[0])
    if first.is_dir():
        return DataKind.IMAGES
    try:
        with open(first, "rb") as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise PathNotFoundError("there is no data", where=str(first)) from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"it cannot be read: {error}", where=str(first)) from error
    if head[:4] == b"PK\x03\x04":
        return DataKind.NPZ
    if head[:6] == b"\x93NUMPY":
        return DataKind.NPY
    if first.suffix.lower() in (".csv", ".tsv", ".txt"):
        return DataKind.CSV
    from ckptviewer.formats.sstable import masked_crc32c

    framed = len(head) >= 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:12], "little")
    if framed or first.name.lower().endswith(_RECORDS) or ".tfrecord" in first.name.lower():
        return DataKind.TFRECORD
    raise BadDataError(
        "it is no npz, npy, CSV, TFRecord, and no folder of images",
        where=str(first),
        remedy="Save the data with numpy.savez(path, x=..., y=...).",
    )


def inspect_data(spec: DataSpec) -> Dataset:
    """What is in the data of `spec`, and what is wrong with it.

    Raises PathNotFoundError, UnreadableFileError, BadDataError, DamagedFileError.
    """
    for path in spec.paths:
        if not os.path.exists(path):
            raise PathNotFoundError("there is no data", where=path, remedy="Choose it again.")
    if spec.kind is DataKind.RANDOM:
        return Dataset(kind=spec.kind, paths=(), count=spec.limit or spec.batch_size)
    if not spec.paths:
        raise BadDataError("no file of data was named", remedy="Name one.")
    found = {
        DataKind.NPZ: _npz,
        DataKind.NPY: _npy,
        DataKind.CSV: _csv,
        DataKind.TFRECORD: _tfrecords,
        DataKind.IMAGES: _images,
    }[spec.kind](spec)
    return _with_counts_checked(found)


def _npz(spec: DataSpec) -> Dataset:
    columns = [column for path in spec.paths for column in _arrays(path)]
    return _of_arrays(spec, columns)


def _npy(spec: DataSpec) -> Dataset:
    names = ["x", "y"] if len(spec.paths) == 2 else [Path(path).stem for path in spec.paths]
    if len(spec.paths) == 1:
        names = ["x"]
    columns = [
        Column(key=name, dtype=found.dtype, shape=found.shape, count=found.count)
        for name, path in zip(names, spec.paths, strict=True)
        for found in _arrays(path)
    ]
    return _of_arrays(spec, columns)


def _arrays(path: str) -> Iterator[Column]:
    from ckptviewer.formats.npz import NpzFormat
    from ckptviewer.formats.registry import Confidence

    if NpzFormat().probe(Path(path)).confidence is Confidence.NO:
        raise NotACheckpointError(
            "it is no array of NumPy",
            where=path,
            remedy="Save the data with numpy.savez(path, x=..., y=...).",
        )
    with NpzFormat().open(Path(path)) as file:
        for variable in file.variables:
            shape = variable.shape
            yield Column(
                key=variable.key,
                dtype=variable.dtype,
                shape=shape[1:] if shape else None,
                count=shape[0] if shape else None,
            )


def _of_arrays(spec: DataSpec, columns: Sequence[Column]) -> Dataset:
    findings = []
    for column in columns:
        if column.shape is None:
            message = f"{printable(column.key)} is a single value, and has no examples."
            findings.append(
                an_error(
                    "no-examples", message, "The first axis of each array counts the examples."
                )
            )
        elif column.dtype in ("object", "structured"):
            message = f"{printable(column.key)} holds Python objects, which are never loaded."
            findings.append(an_error("pickled-data", message, "Save it as an array of numbers."))
    target, problem = _target([column.key for column in columns], spec.target)
    return Dataset(
        kind=spec.kind,
        paths=spec.paths,
        columns=tuple(columns),
        target=target,
        findings=(*findings, *problem),
    )


def _csv(spec: DataSpec) -> Dataset:
    found = read_csv(spec.paths)
    columns = tuple(
        Column(
            key=name,
            dtype="string" if at in found.texts else "float32",
            shape=(),
            count=found.rows,
        )
        for at, name in enumerate(found.header)
    )
    keys = [column.key for column in columns]
    target, problem = _target(keys, spec.target)
    return Dataset(
        kind=spec.kind,
        paths=spec.paths,
        columns=columns,
        count=found.rows,
        target=target or (keys[-1] if keys else ""),
        findings=tuple(problem),
    )


def _tfrecords(spec: DataSpec) -> Dataset:
    found: list[Records] = []
    for path in spec.paths:
        source = LocalFile(path)
        try:
            found.append(read_records(source))
        finally:
            source.release()
    first = next((each for each in found if each.features is not None), None)
    features = first.features if first is not None and first.features else ()
    columns = tuple(
        Column(
            key=feature.name,
            dtype=feature.dtype,
            shape=() if feature.count == 1 else None,
        )
        for feature in features
    )
    counts = [each.count for each in found]
    total = None if None in counts else sum(count or 0 for count in counts)
    compression = next((each.compression for each in found if each.compression), "")
    findings = []
    if compression != spec.compression:
        findings.append(
            an_error(
                "compression",
                f"The records are {'packed by ' + compression if compression else 'not packed'}.",
                f"Say compression {compression!r}.",
            )
        )
    target, problem = _target([column.key for column in columns], spec.target)
    return Dataset(
        kind=spec.kind,
        paths=spec.paths,
        columns=columns,
        count=total,
        compression=compression,
        features=features,
        target=target,
        findings=(*findings, *problem),
    )


def _images(spec: DataSpec) -> Dataset:
    folder = spec.paths[0]
    try:
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in islice(entries, _MOST_CLASSES) if each.is_dir())
    except OSError as error:
        raise UnreadableFileError(f"it cannot be read: {error}", where=folder) from error
    names = [name for name in names if not name.startswith(".")]
    wanted = list(spec.class_names) or names
    classes = tuple((name, _pictures(os.path.join(folder, name))) for name in wanted)
    findings = check_classes(names, spec.class_names) if spec.class_names else []
    empty = [name for name, count in classes if not count and name in names]
    if not names:
        findings.append(
            an_error(
                "no-classes",
                "The folder has no folders, and each class needs one.",
                "Put the pictures of each class into a folder of its name.",
            )
        )
    elif empty:
        findings.append(
            Finding(
                code="empty-class",
                severity=Severity.WARNING,
                message=f"No PNG, JPEG, BMP or GIF is in {listed(empty)}.",
            )
        )
    return Dataset(
        kind=spec.kind,
        paths=spec.paths,
        columns=(
            Column(key="x", dtype="float32", shape=None),
            Column(key="y", dtype="int32", shape=()),
        ),
        count=sum(count for _, count in classes),
        classes=classes,
        target="y",
        findings=tuple(findings),
    )


def check_classes(folders: Sequence[str], names: Sequence[str]) -> list[Finding]:
    """What keeps Keras from reading `folders` as classes of these names: each has to be of one."""
    missing = [name for name in names if name not in set(folders)]
    unnamed = [name for name in folders if name not in set(names)]
    findings = []
    if missing:
        findings.append(
            an_error(
                "missing-class",
                f"There is no folder of the class {listed(missing)}.",
                "Add its pictures, or leave the class out.",
            )
        )
    if unnamed:
        findings.append(
            an_error(
                "unnamed-class",
                f"The folder {listed(unnamed)} is of no class that was named.",
                "Name it, or take the folder out.",
            )
        )
    return findings


def _pictures(folder: str) -> int:
    count = 0
    for _, _, files in os.walk(folder):  # Keras' loader goes below as well
        count += sum(os.path.splitext(name)[1].lower() in _PICTURES for name in files)
        if count > _MOST_PICTURES:
            break
    return count


def _target(keys: Sequence[str], wanted: str) -> tuple[str, list[Finding]]:
    if wanted and wanted not in keys:
        return "", [
            an_error(
                "missing-target",
                f"The data has no {wanted} for the truth.",
                f"It has {listed(keys)}.",
            )
        ]
    return wanted or next((name for name in TRUTHS if name in keys), ""), []


def _with_counts_checked(data: Dataset) -> Dataset:
    """The dataset with its count, and findings where it is empty or the counts differ."""
    counts = {column.count for column in data.columns if column.count is not None}
    findings = list(data.findings)
    count = data.count
    if len(counts) > 1:
        shown = ", ".join(f"{printable(each.key)}: {each.count}" for each in data.columns[:8])
        findings.append(
            an_error(
                "different-counts",
                f"The arrays do not hold the same number of examples ({shown}).",
                "The first axis of each array counts the examples.",
            )
        )
    elif counts and count is None:
        (count,) = counts
    if count == 0 or (not data.columns and count is None):
        findings.append(an_error("no-examples", "The data has no examples.", "Choose other data."))
    return replace(data, count=count, findings=tuple(findings))


def describe(data: Dataset) -> str:
    """The data in a line for people."""
    if data.kind is DataKind.RANDOM:
        return "random input, seeded"
    examples = "an unknown number of examples"
    if data.count is not None:
        examples = plural(data.count, "example")
    if data.classes:
        return f"{examples} of {plural(len(data.classes), 'class', 'classes')}"
    columns = ", ".join(
        f"{printable(each.key)} {each.dtype}{shown_shape(each.shape)}" for each in data.columns[:6]
    )
    more = f" and {len(data.columns) - 6} more" if len(data.columns) > 6 else ""
    return f"{examples}: {columns}{more}"


def shown_shape(shape: tuple[int | None, ...] | None) -> str:
    """A shape for people, free axes as `?`; nothing where it is unknown."""
    if shape is None:
        return ""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    found = [printable(name) for name in names]
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def an_error(code: str, message: str, remedy: str) -> Finding:
    """A finding that keeps the data from being run."""
    return Finding(code=code, severity=Severity.ERROR, message=message, remedy=remedy)
