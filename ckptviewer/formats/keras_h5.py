"""Keras 2's HDF5 files, as TF-Keras and Keras 3 write them still: whole models, and weights only.

A whole model has `model_weights`, `optimizer_weights` and the configurations as attributes; a file
of weights has the layers at its root. Source: keras/src/legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import COPY_FILE, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural
from ckptviewer.formats.hdf5 import Contents, Hdf5File
from ckptviewer.formats.hdf5_checkpoint import Hdf5Checkpoint, Stored, variables_of
from ckptviewer.formats.hdf5_types import AttributeValue
from ckptviewer.formats.keras_config import (
    bounded_json,
    describe_model,
    describe_training,
    model_of,
    optimizer_of,
)
from ckptviewer.formats.keras_content import Content, content_of
from ckptviewer.formats.keras_legacy_names import LegacyNames, WeightList
from ckptviewer.formats.keras_optimizers import INFERRED
from ckptviewer.formats.registry import Format, Match
from ckptviewer.storage.byte_source import LocalFile

MODEL = "model_weights"
OPTIMIZER = "optimizer_weights"

Attributes = Mapping[str, AttributeValue]


class KerasH5Format(Format):
    """HDF5 files of Keras 2's layout."""

    name = "keras-h5"
    title = "Keras HDF5 model"

    def probe(self, path: Path) -> Match:
        confidence, reason = content_of(path, Content.LEGACY)
        return Match(confidence=confidence, reason=reason, path=path)

    def open(self, path: Path) -> Checkpoint:
        source = LocalFile(path)
        try:
            file = Hdf5File(source)
            with file.metadata.counting():
                return _open(file, path)
        finally:
            source.release()


def _open(file: Hdf5File, path: Path) -> Checkpoint:
    contents = file.walk()
    findings = list(contents.findings)
    root = _attributes(file, "", contents, findings)
    prefix = MODEL if MODEL in contents.groups else ""
    weights = _attributes(file, MODEL, contents, findings) if prefix else root
    config = _json(root.get("model_config"), "model_config", path, findings)
    training = _json(root.get("training_config"), "training_config", path, findings)
    version = _text(root.get("keras_version") or weights.get("keras_version"))
    model = model_of(config)
    optimizer = optimizer_of(training.get("optimizer_config")) if training else None
    names = LegacyNames(
        model_weights=_weight_lists(file, prefix, weights, contents, findings),
        optimizer_weights=_weight_lists_of_optimizer(file, contents, findings),
        shapes={key: (each.type.dtype, each.shape) for key, each in contents.datasets.items()},
        model=model,
        optimizer=optimizer,
        keras_version=version,
    )
    stored = {key: Stored(0, dataset) for key, dataset in contents.datasets.items()}
    variables = variables_of([file], stored, names.describe(), findings)
    findings += _missing(names, contents)
    facts = {"Kind": "whole model" if config else "weights only"}
    facts |= describe_model(model) | describe_training(training)
    if names.slots_are_inferred:
        facts["Owners of slots"] = INFERRED
    backend = _text(root.get("backend") or weights.get("backend"))
    if backend:
        facts["Backend"] = backend
    layers = _texts(weights, "layer_names")
    if layers:
        facts.setdefault("Layers", plural(len(layers), "layer"))
    return Hdf5Checkpoint(
        [file],
        stored,
        path=str(path),
        format_name=KerasH5Format.name,
        variables=variables,
        written_by=f"Keras {version}" if version else None,
        findings=findings,
        facts=facts,
    )


def read_structure(path: Path) -> tuple[str, list[str]]:
    """The model's configuration as JSON text, "" without one, and the keys of the layers' weights.

    The keys come in the model's own order, and those of a layer in the layer's. Raises as opening.
    """
    source = LocalFile(path)
    try:
        file = Hdf5File(source)
        with file.metadata.counting():
            contents = file.walk()
            root = _attributes(file, "", contents, [])
            prefix = MODEL if MODEL in contents.groups else ""
            weights = _attributes(file, prefix, contents, [])
            lists = _weight_lists(file, prefix, weights, contents, [])
        config = _text(root.get("model_config") or weights.get("model_config"))
        keys = [key for each in lists for key in each.names if key in contents.datasets]
        return config, keys
    finally:
        source.release()


def _attributes(
    file: Hdf5File, group: str, contents: Contents, findings: list[Finding]
) -> Attributes:
    """The attributes of a group; none, with a finding, where they are damaged."""
    try:
        return file.attributes(contents.groups[group])
    except KeyError:
        return {}
    except DamagedFileError as error:
        findings.append(
            Finding(
                code="damaged-attributes",
                severity=Severity.ERROR,
                message=f"The attributes of {group or 'the file'} cannot be read: {error.what}; "
                "names and the order of layers may be missing.",
                remedy=COPY_FILE,
            )
        )
        return {}


def _json(
    value: AttributeValue | None, name: str, path: Path, findings: list[Finding]
) -> dict[str, object] | None:
    if not isinstance(value, str):
        return None
    try:
        found = bounded_json(value, f"{path} ({name})")
    except CkptviewerError as error:
        findings.append(
            Finding(
                code="damaged-config",
                severity=Severity.ERROR,
                message=f"The attribute {name} cannot be read: {error.what}; what is trainable is "
                "not known.",
                remedy=COPY_FILE,
            )
        )
        return None
    return found if isinstance(found, dict) else None


def _text(value: AttributeValue | None) -> str:
    return value if isinstance(value, str) else ""


def _texts(attributes: Attributes, name: str) -> list[str]:
    """A list of names; long ones are spread over `name0`, `name1`, ..."""
    if name in attributes:
        parts = [attributes[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
    texts = (_text(each) for part in parts if isinstance(part, list) for each in part)
    return [text for text in texts if text]


def weight_lists_of(file: Hdf5File) -> list[WeightList]:
    """Of each layer of the model in `file`, in its order: the keys of its weights, in theirs."""
    contents = file.walk()
    prefix = MODEL if MODEL in contents.groups else ""
    weights = _attributes(file, prefix, contents, [])
    return _weight_lists(file, prefix, weights, contents, [])


def _weight_lists(
    file: Hdf5File,
    prefix: str,
    weights: Attributes,
    contents: Contents,
    findings: list[Finding],
) -> list[WeightList]:
    """Of each layer, in the model's order: the keys of its weights, in the layer's order."""
    layers = [*dict.fromkeys(_texts(weights, "layer_names")), "top_level_model_weights"]
    lists = []
    for layer in layers:
        group = f"{prefix}/{layer}" if prefix else layer
        if group in contents.groups:
            names = _texts(_attributes(file, group, contents, findings), "weight_names")
            lists.append(WeightList(layer, {f"{group}/{name}": name for name in names}))
    return lists


def _weight_lists_of_optimizer(
    file: Hdf5File, contents: Contents, findings: list[Finding]
) -> WeightList:
    names = _texts(_attributes(file, OPTIMIZER, contents, findings), "weight_names")
    return WeightList(OPTIMIZER, {f"{OPTIMIZER}/{name}": name for name in names})


def _missing(names: LegacyNames, contents: Contents) -> list[Finding]:
    """A finding where the file lists weights that it does not have."""
    listed = [key for each in names.lists for key in each.names]
    missing = [key for key in listed if key not in contents.datasets]
    if not missing:
        return []
    return [
        Finding(
            code="missing-variables",
            severity=Severity.ERROR,
            message=f"The file lists {plural(len(missing), 'weight')} that it does not have, "
            f"{missing[0]} the first.",
            remedy=COPY_FILE,
        )
    ]
