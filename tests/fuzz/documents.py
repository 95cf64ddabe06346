"""What is done to parsers of what is no checkpoint: settings, rules, names, messages, records.

As in `targets`: what may be raised is let pass, and whatever else comes out is a finding.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.storage.byte_source import MemoryBytes
from tests.fuzz.parts import split_parts
from tests.fuzz.place import DIRECTORY

_KEYS = (
    "a" * 40,
    "model/layers/dense_1/kernel",
    "_CHECKPOINTABLE_OBJECT_GRAPH",
    "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE",
    "training/Adam/conv2d/kernel/m",
    "a/" * 60,
    "\u00e9\u0130\ud800 =\\",
    "",
)


def saved_comparison(data: bytes) -> None:
    """What was read is written, and reads back as it was; its rules are used."""
    from ckptviewer.analysis.saved_comparison import from_json

    try:
        saved = from_json(data)
    except CkptviewerError as error:
        str(error)
        return
    assert from_json(saved.to_json()) == saved, "what is written does not read back"
    _use_rules(list(saved.rules))


def rename_rules(data: bytes) -> None:
    """A rule a line, as typed: previewed, and used on keys as they are in files."""
    from ckptviewer.analysis.rename_preview import preview
    from ckptviewer.checkpoint.renaming import parse_rule

    lines = data.decode("utf-8", "replace").splitlines()[:2]
    preview(_KEYS, _KEYS, lines)
    rules = []
    for line in lines:
        try:
            rules.append(parse_rule(line))
        except CkptviewerError as error:
            str(error)
            continue
        assert parse_rule(str(rules[-1])) == rules[-1], "a rule does not read back"
    _use_rules(rules)


def _use_rules(rules: list) -> None:
    from ckptviewer.checkpoint.renaming import rename_all

    try:
        rename_all(_KEYS, rules)
    except CkptviewerError as error:
        str(error)


def recipe(data: bytes) -> None:
    """TOML or JSON; what was read is written as both, and reads back as it was."""
    from ckptviewer.validation.recipe import read_recipe, write_recipe

    file = DIRECTORY / "recipe"
    file.write_bytes(data)
    try:
        found = read_recipe(file)
    except CkptviewerError as error:
        str(error)
        return
    for name in ("again.toml", "again.json"):
        for _ in range(2):  # the first time a path may come to be written otherwise ("//" is "/")
            try:
                write_recipe(found, DIRECTORY / name)
            except CkptviewerError:
                break
            again, found = found, read_recipe(DIRECTORY / name)
        else:
            assert repr(again) == repr(found), "what is written does not read back"


def tfrecords(data: bytes) -> None:
    from ckptviewer.validation.tfrecords import features_of, read_records

    try:
        read_records(MemoryBytes(data))
    except CkptviewerError as error:
        str(error)
    features_of(data)


def run(data: bytes) -> None:
    """A directory: the file `checkpoint`, and files called as lines of the other part.

    All lines are names that steps are told from. One input in eight is looked at as a directory in
    which a few of them are files: that takes the time.
    """
    from ckptviewer.runs.run import find_run
    from ckptviewer.runs.step_names import facts_of_names

    names, state = split_parts(data, 2)
    lines = names.decode("utf-8", "replace").split("\n")[:16]
    facts_of_names(lines)
    if zlib.crc32(data) % 8:
        return
    directory = DIRECTORY / "run"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "checkpoint").write_bytes(state)
    for line in lines[:3]:
        try:
            os.close(os.open(directory / Path(line).name, os.O_CREAT | os.O_WRONLY))
        except (OSError, ValueError):
            continue
    try:
        found = find_run(directory)
    except CkptviewerError as error:
        str(error)
        return
    for finding in found.findings:
        str(finding)


def hand_over(data: bytes) -> None:
    from ckptviewer.ui.hand_over import decode, encode

    try:
        request = decode(data)
    except CkptviewerError as error:
        str(error)
        return
    assert decode(encode(request)) == request, "a request does not read back"


def keras_keys(data: bytes) -> None:
    """An object graph, and names of variables, a line each: where Keras would look for them."""
    from ckptviewer.formats.keras_config import bounded_json, model_of
    from ckptviewer.formats.keras_keys import keys_of
    from ckptviewer.formats.keras_layers_by_name import layers_by_name
    from ckptviewer.formats.keras_layout import Layout

    graph, names, config = split_parts(data, 3)
    lines = names.decode("utf-8", "replace").split("\n")[:200]
    for with_graph in (True, False):
        checkpoint = _GraphCheckpoint(graph if with_graph else None, lines)
        try:
            paths, reasons = keys_of(checkpoint, checkpoint.variables)
        except CkptviewerError as error:
            str(error)
            continue
        assert not paths.keys() & reasons.keys(), "a variable has a place, and none"
        assert paths.keys() | reasons.keys() == checkpoint.by_key.keys(), "a variable is left out"
        assert len(set(paths.values())) == len(paths), "two variables have one place"
    try:
        model = model_of(bounded_json(config, "config"))
    except CkptviewerError:
        return
    named = [(variable.name, variable.key) for variable in checkpoint.variables]
    for is_ordered in (True, False):
        root, _ = layers_by_name(named, model=model, is_ordered=is_ordered)
        Layout(root, checkpoint.by_key)


class _GraphCheckpoint(Checkpoint):
    """Variables of small shapes under the keys that a graph names, and under others."""

    def __init__(self, graph: bytes | None, names: list[str]) -> None:
        from ckptviewer.checkpoint.roles import describe_by_name
        from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

        keys = {name for name in names if name}
        try:
            for node in ObjectGraph.FromString(graph or b"").nodes[:500]:
                keys |= {attribute.checkpoint_key for attribute in node.attributes}
        except Exception:
            pass
        keys.discard("")
        shapes = ((3,), (), (2, 3), (3, 3, 2, 4), (4, 12), (1, 1, 1))
        entries = [(key, "float32", shapes[n % 6]) for n, key in enumerate(sorted(keys))]
        variables = [
            Variable(key=key, dtype=dtype, shape=shape, stored_bytes=4, **about._asdict())
            for (key, dtype, shape), about in zip(entries, describe_by_name(entries), strict=True)
        ]
        if graph is not None:
            variables = [each for each in variables if each.key != OBJECT_GRAPH_KEY]
            variables.append(
                Variable(
                    key=OBJECT_GRAPH_KEY,
                    name=OBJECT_GRAPH_KEY,
                    dtype="string",
                    shape=(),
                    stored_bytes=len(graph),
                )
            )
        self._graph = graph
        super().__init__(path="memory", format_name="tf-bundle", variables=variables)

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return np.array([self._graph], object).reshape(())

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        yield self.read(variable).reshape(-1)
