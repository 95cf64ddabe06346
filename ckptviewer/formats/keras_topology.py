"""The order of a Keras model's layers and weights, by which its older HDF5 files are loaded.

Source: keras/src/legacy/saving/legacy_h5_format.py: layers without weights are left out, and a
layer's weights are its trainable ones and then the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role
from ckptviewer.formats.keras_config import (
    FREE_JSON_BYTES,
    MAX_JSON_BYTES,
    Layer,
    bounded_json,
    model_of,
)

_LATER = frozenset((Role.MOVING_STATISTIC, Role.RNG))


class LayerWeights(NamedTuple):
    """A layer with weights: its name, and the keys of its weights in their order."""

    name: str
    keys: tuple[str, ...]


def layer_order(checkpoint: Checkpoint) -> tuple[LayerWeights, ...] | None:
    """The layers that have weights, in the model's order; None where the file does not tell it.

    checkpoint: an open keras-h5 or keras-archive; its file is looked at once more.
    """
    try:
        if checkpoint.format_name == "keras-h5":
            found = tuple(_listed(checkpoint))
        elif checkpoint.format_name == "keras-archive":
            found = tuple(_configured(checkpoint))
        else:
            return None
    except (CkptviewerError, OSError):
        return None
    return found or None


def _listed(checkpoint: Checkpoint) -> Iterator[LayerWeights]:
    """As the attributes `layer_names` and `weight_names` of an HDF5 file list them."""
    from ckptviewer.formats.hdf5 import Hdf5File
    from ckptviewer.formats.keras_h5 import weight_lists_of
    from ckptviewer.storage.byte_source import LocalFile

    source = LocalFile(checkpoint.path)
    try:
        file = Hdf5File(source)
        with file.metadata.counting():
            lists = weight_lists_of(file)
    finally:
        source.release()
    for layer, names in lists:
        keys = tuple(key for key in names if key in checkpoint.by_key)
        if keys:
            yield LayerWeights(layer, keys)


def _configured(checkpoint: Checkpoint) -> Iterator[LayerWeights]:
    """As the configuration in a `.keras` archive orders its layers."""
    model = model_of(bounded_json(_config_of(Path(checkpoint.path)), checkpoint.path))
    if model is None or not model.is_ordered:
        return
    for part, layer in model.children.items():
        prefix = f"layers/{part}/"
        variables = natural_sorted(
            [
                each
                for each in checkpoint.variables
                if each.key.startswith(prefix) and each.role in MODEL_ROLES | _LATER
            ],
            lambda each: each.key,
        )
        order = _positions(layer, prefix)
        variables.sort(key=lambda each: order.get(each.key.rpartition("vars/")[0], 0))
        variables.sort(key=lambda each: each.trainable is False or each.role in _LATER)
        if variables:
            yield LayerWeights(layer.name, tuple(each.key for each in variables))


def _positions(layer: Layer, prefix: str) -> dict[str, int]:
    """Where the layers below `layer` stand, by the prefixes of their keys."""
    found: dict[str, int] = {}
    pending = [(layer, prefix)]
    while pending:
        each, path = pending.pop()
        found[path] = len(found)
        inner = "layers/" if each.is_ordered else ""
        pending += [
            (child, f"{path}{inner}{part}/") for part, child in reversed(each.children.items())
        ]
    return found


def _config_of(path: Path) -> bytes:
    from ckptviewer.formats.keras_archive import CONFIG
    from ckptviewer.storage.byte_source import ByteSource, LocalFile
    from ckptviewer.storage.zip_member import open_member, read_archive

    if path.is_dir():
        limit, source = MAX_JSON_BYTES, LocalFile(path / CONFIG)
        part: ByteSource = source
    else:
        source = LocalFile(path)
        limit = max(FREE_JSON_BYTES, 4 * source.size)
        member = read_archive(source).members.get(CONFIG)
        if member is None:
            source.release()
            return b"{}"
        part = open_member(source, member)
    try:
        return part.read(0, part.size) if part.size <= limit else b"{}"
    finally:
        source.release()
