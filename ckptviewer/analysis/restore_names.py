"""What binds by names and places: Saver's names, Keras' layer paths, Keras' order of layers.

Sources: tensorflow/python/training/saver.py (restore, object_graph_key_mapping),
tensorflow/python/checkpoint/checkpoint.py (NameBasedSaverStatus), keras/src/saving/saving_lib.py
(_load_state), keras/src/legacy/saving/legacy_h5_format.py (load_weights_from_hdf5_group).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ckptviewer.analysis.restore_objects import full_names, has_objects, read_objects
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.text import plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.keras_topology import LayerWeights


@dataclass(frozen=True, slots=True)
class Pair:
    """Two that belong together, by their keys. why: one clause."""

    key: str
    model_key: str
    why: str
    confidence: float = 1.0


@dataclass(slots=True)
class Paired:
    """What a rule brings together.

    refused: keys of the model that the library leaves alone for a reason of its own, with it.
    raises: what the library raises besides; empty for nothing.
    """

    pairs: list[Pair] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    raises: str = ""


def by_saver_name(checkpoint: Checkpoint, model: Checkpoint) -> Paired:
    """Pairs of one name. An object-based side goes by the names that its graph tells."""
    ours, theirs = _saver_names(checkpoint), _saver_names(model)
    why = "the variable's name"
    if has_objects(checkpoint):
        why = "the variable's name in the checkpoint's object graph"
    return Paired([Pair(ours[name], key, why) for name, key in theirs.items() if name in ours])


def _saver_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Name to key; of a name that several bear the last is taken, as TensorFlow does."""
    if not has_objects(checkpoint):
        return {variable.key: variable.key for variable in checkpoint.variables}
    known = checkpoint.by_key
    named = full_names(read_objects(checkpoint))
    return {name: key for key, name in named.items() if key in known}


def by_layer_path(checkpoint: Checkpoint, model: Checkpoint) -> Paired:
    """Pairs of one path. A layer whose count of weights differs is not loaded at all."""
    ours, theirs = _by_layer(checkpoint.variables), _by_layer(model.variables)
    paired = Paired()
    failed = 0
    for layer, keys in theirs.items():
        have = ours.get(layer, [])
        if len(have) == len(keys):
            paired.pairs += [
                Pair(key, key, "the layer's path and the weight's number")
                for key in keys
                if key in checkpoint.by_key
            ]
            continue
        reason = (
            f"the layer has {plural(len(keys), 'weight')} in the model and {len(have)} in the "
            "checkpoint, and Keras then loads none of them"
        )
        if not layer.startswith("optimizer"):  # for an optimizer Keras only warns
            failed += 1
        paired.refused |= dict.fromkeys(keys, reason)
    if failed:
        paired.raises = (
            f"ValueError: a total of {failed} objects could not be loaded. The others are loaded "
            "all the same; skip_mismatch=True makes it a warning."
        )
    return paired


def _by_layer(variables: Sequence[Variable]) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = defaultdict(list)
    for variable in variables:
        layers[variable.key.rpartition("vars/")[0].rstrip("/")].append(variable.key)
    return layers


def by_layer_order(ours: Sequence[LayerWeights], theirs: Sequence[LayerWeights]) -> Paired:
    """Pairs of the n-th weights of the n-th layers; none where the counts of layers differ."""
    paired = Paired()
    if len(ours) != len(theirs):
        paired.raises = (
            f"ValueError: Layer count mismatch when loading weights from file. Model expected "
            f"{len(theirs)} layers, found {len(ours)} saved layers. Nothing is loaded; "
            "by_name=True goes by the layers' names instead."
        )
        return paired
    for number, (have, want) in enumerate(zip(ours, theirs, strict=True)):
        if len(have.keys) != len(want.keys):
            paired.raises = (
                f"ValueError: Weight count mismatch for layer #{number} (named {want.name} in the "
                f"current model, {have.name} in the save file). Layer expects {len(want.keys)} "
                f"weight(s). Received {len(have.keys)} saved weight(s). The layers after it are "
                "not loaded."
            )
            return paired
        why = f"the weight's place in layer {number + 1} of those that have weights"
        if have.name != want.name:
            why += f", called {have.name} in the checkpoint"
        paired.pairs += [
            Pair(key, model_key, why) for key, model_key in zip(have.keys, want.keys, strict=True)
        ]
    return paired


def by_objects(pairs: Mapping[str, str]) -> Paired:
    """Pairs that walking two object graphs found."""
    why = "the same path of attributes from the root"
    return Paired([Pair(key, model_key, why) for key, model_key in pairs.items()])
