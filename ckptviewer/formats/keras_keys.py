"""What variables of any checkpoint are called in `.weights.h5`; why some have no place there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.computed import ComputedCheckpoint
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, VALUE_SUFFIX
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.keras_config import Layer, bounded_json, model_of
from ckptviewer.formats.keras_layers_by_name import layers_by_name
from ckptviewer.formats.keras_layers_in_graph import GraphLayers
from ckptviewer.formats.keras_layout import Layout

PLACED = re.compile(r"(?:(?!\.\.?/)[^/\0]+/)*vars/(?!\.\.?$)[^/\0]+")
"""Paths of datasets as Keras makes them; custom layers may call their variables by names."""

REPEATS = "it repeats one of the model's list of variables"
"""Why what has its place under another key has none."""

_NAMELESS = re.compile(r"(?:_all_)?variables/\d{1,9}")
_LISTED = re.compile(r"variables/(\d{1,9})" + re.escape(VALUE_SUFFIX))
_OLD_LAYERS = "_layer_checkpoint_dependencies"
_NO_PLACE = {
    Role.RNG: "Keras keeps no state of random generators in its weights",
    Role.METRIC: "metrics have no place among the weights here",
    Role.ITERATOR: "iterators are no part of a Keras model",
    Role.METADATA: "it describes the objects of this checkpoint, which a file of weights does not",
    Role.OPTIMIZER_SLOT: "where Keras would look for its optimizer's state is not told",
    Role.OPTIMIZER_STATE: "where Keras would look for its optimizer's state is not told",
    Role.COUNTER: "no layer of the model holds it",
}

Keys = tuple[dict[str, str], dict[str, str]]
"""Paths of datasets by key; for the others, why they have none: one clause."""


def keys_of(checkpoint: Checkpoint, variables: Sequence[Variable]) -> Keys:
    """Where `model.load_weights` looks for each variable, as far as the source knows its layers.

    checkpoint: as it was opened, or a part of it or with other keys; these change no place.
    Every variable is either in the first result or in the second. Raises what reading the object
    graph raises.
    """
    if isinstance(checkpoint, ComputedCheckpoint):
        key_of = {checkpoint.origin(variable).key: variable.key for variable in variables}
        origins = [checkpoint.origin(variable) for variable in variables]
        paths, reasons = keys_of(checkpoint.source, origins)
        return (
            {key_of[key]: path for key, path in paths.items()},
            {key_of[key]: reason for key, reason in reasons.items()},
        )
    wanted = {variable.key for variable in variables}
    if checkpoint.format_name in ("keras-weights-h5", "keras-archive"):
        paths, reasons = _as_they_are(checkpoint.variables)
    elif checkpoint.format_name == "keras-h5":
        paths, reasons = _of_keras_h5(checkpoint)
    else:
        paths, reasons = _of_graph(checkpoint)
        if not paths:
            paths, reasons = _by_name(checkpoint.variables)
    paths, reasons = _each_place_once(paths, reasons)
    return (
        {key: path for key, path in paths.items() if key in wanted},
        {
            each.key: reasons.get(each.key, "no layer of the model holds it")
            for each in variables
            if each.key not in paths
        },
    )


def _as_they_are(variables: Sequence[Variable]) -> Keys:
    """Keras' own paths; those of its first files call the layers otherwise."""
    paths, reasons = {}, {}
    for variable in variables:
        if PLACED.fullmatch(variable.key):
            parts = variable.key.split("/")
            paths[variable.key] = "/".join("layers" if p == _OLD_LAYERS else p for p in parts)
        else:
            reasons[variable.key] = "it is no variable of a layer"
    return paths, reasons


def _of_graph(checkpoint: Checkpoint) -> Keys:
    if OBJECT_GRAPH_KEY not in checkpoint.by_key:
        return {}, {}
    serialized = checkpoint.read(checkpoint[OBJECT_GRAPH_KEY]).reshape(-1)[0]
    layers = GraphLayers(serialized, checkpoint.variables)
    if layers.model is None:
        return {}, {}
    layout = Layout(layers.model, checkpoint.by_key)
    reasons = _without_place(checkpoint.variables)
    for variable in checkpoint.variables:
        if variable.in_model:
            reasons[variable.key] = "no edge of the object graph leads to it from a layer"
    return layers.optimizer | layout.paths, reasons | layout.reasons


def _of_keras_h5(checkpoint: Checkpoint) -> Keys:
    model, order = _configuration(Path(checkpoint.path))
    rank = {key: number for number, key in enumerate(order)}
    named = [
        (variable.name, variable.key)
        for variable in sorted(checkpoint.variables, key=lambda each: rank.get(each.key, 0))
        if variable.key in rank
    ]
    root, unplaced = layers_by_name(named, model=model, is_ordered=True)
    layout = Layout(root, checkpoint.by_key)
    return layout.paths, _without_place(checkpoint.variables) | unplaced | layout.reasons


def _configuration(path: Path) -> tuple[Layer | None, list[str]]:
    """The model's configuration, where the file has one, and the keys of its weights in order."""
    from ckptviewer.formats.keras_h5 import read_structure

    config, keys = read_structure(path)
    try:
        return model_of(bounded_json(config, str(path)) if config else None), keys
    except CkptviewerError:
        return None, keys


def _by_name(variables: Sequence[Variable]) -> Keys:
    """Layers as names tell them; in the order of the model only where a list says it."""
    listed = {v.key: int(match[1]) for v in variables if (match := _LISTED.fullmatch(v.key))}
    chosen = [v for v in variables if v.in_model and (not listed or v.key in listed)]
    chosen.sort(key=lambda variable: listed.get(variable.key, 0))
    named = [(variable.name, variable.key) for variable in chosen]
    nameless = {key for name, key in named if _NAMELESS.fullmatch(name)}
    named = [(name, key) for name, key in named if key not in nameless]
    root, unplaced = layers_by_name(named, is_ordered=bool(listed))
    layout = Layout(root, {variable.key: variable for variable in variables})
    reasons = _without_place(variables)
    if listed:
        repeats = [v.key for v in variables if v.in_model and v.key not in listed]
        reasons |= dict.fromkeys(repeats, REPEATS)
    reasons |= dict.fromkeys(nameless, "nothing tells of which layer it is")
    return layout.paths, reasons | unplaced | layout.reasons


def _without_place(variables: Sequence[Variable]) -> dict[str, str]:
    return {v.key: _NO_PLACE[v.role] for v in variables if v.role in _NO_PLACE}


def _each_place_once(paths: dict[str, str], reasons: dict[str, str]) -> Keys:
    """Without variables that would be written to one place."""
    counts: dict[str, int] = {}
    for path in paths.values():
        counts[path] = counts.get(path, 0) + 1
    twice = {
        key: "another variable has the same place" for key, p in paths.items() if counts[p] > 1
    }
    return {key: p for key, p in paths.items() if key not in twice}, reasons | twice
