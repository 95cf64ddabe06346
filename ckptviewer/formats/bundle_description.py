"""What the variables of a tensor bundle are called and what they are for.

Object-based checkpoints carry the graph of their objects, which knows; name-based ones have their
names, and perhaps the `.meta` file that was saved beside them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, Columns, columns_by_name
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint, BundleContents
from ckptviewer.formats.bundle_layout import BundleLayout, Told
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.storage.byte_source import LocalFile

Variables = tuple[Variable, ...]


class BundleDescription(NamedTuple):
    """The variables of a bundle in the index's order, and facts about the whole."""

    variables: Sequence[Variable]
    facts: dict[str, str]
    written_by: str | None = None


def describe_bundle(
    contents: BundleContents,
    layout: BundleLayout,
    sources: Mapping[int, LocalFile],
    findings: list[Finding],
) -> BundleDescription:
    """All that can be told without reading values; what is damaged becomes a finding.

    layout: of the contents. sources: data files as they were on opening.
    """
    if not contents.entries:
        return BundleDescription((), {})
    if OBJECT_GRAPH_KEY in contents.entries:
        facts = {"Kind": "object-based (tf.train.Checkpoint)"}
        try:
            variables = _by_graph(contents, layout, _graph_bytes(contents, sources))
            return BundleDescription(variables, facts)
        except CkptviewerError as error:
            findings.append(
                Finding(
                    code="damaged-object-graph",
                    severity=Severity.ERROR,
                    message=f"The object graph cannot be read: {error.what}; "
                    "names and roles are told from the keys.",
                    remedy=COPY_CHECKPOINT,
                    variable=OBJECT_GRAPH_KEY,
                )
            )
            return BundleDescription(_by_name(contents, layout), facts)
    facts = {"Kind": "name-based (tf.train.Saver)"}
    meta = contents.prefix + ".meta"
    if os.path.isfile(meta):
        return _with_meta(meta, contents, layout, facts, findings)
    return BundleDescription(_by_name(contents, layout), facts)


def _by_graph(contents: BundleContents, layout: BundleLayout, graph: bytes) -> Variables:
    """The variables as the object graph tells; the same ones if it told of this layout before."""
    told = layout.told
    if told is None or told.graph != graph:
        from ckptviewer.formats.object_graph import columns_of_object_graph

        columns = columns_of_object_graph(graph, *_columns(contents))
        told = layout.remember(Told(graph, _variables(contents, columns)))
    return told.variables


def _by_name(contents: BundleContents, layout: BundleLayout) -> Variables:
    """The variables as their names alone tell; the same ones each time for a layout."""
    told = layout.told
    if told is None or told.graph is not None:
        columns = columns_by_name(*_columns(contents))
        told = layout.remember(Told(None, _variables(contents, columns)))
    return told.variables


def _with_meta(
    path: str,
    contents: BundleContents,
    layout: BundleLayout,
    facts: dict[str, str],
    findings: list[Finding],
) -> BundleDescription:
    from ckptviewer.formats.graph_def import meta_beside

    facts["Graph"] = os.path.basename(path)
    meta = meta_beside(path, findings)
    if meta is None:
        return BundleDescription(_by_name(contents, layout), facts)
    columns = columns_by_name(
        *_columns(contents),
        trainable=meta.trainable,
        all_variables=meta.all_variables,
        moving_averages=meta.moving_averages,
    )
    version = meta.tensorflow_version
    written_by = f"TensorFlow {version}" if version else None
    return BundleDescription(_variables(contents, columns), facts, written_by)


def _columns(
    contents: BundleContents,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Keys, dtypes and shapes."""
    dtypes, shapes = zip(*contents.entries.descriptions, strict=True)
    return tuple(contents.entries), dtypes, shapes


def _graph_bytes(contents: BundleContents, sources: Mapping[int, LocalFile]) -> bytes:
    """The serialized object graph, which is a string scalar of the bundle."""
    with BundleCheckpoint(contents, variables=(), sources=sources) as checkpoint:
        entry = contents.entries[OBJECT_GRAPH_KEY]
        variable = Variable(OBJECT_GRAPH_KEY, "", entry.dtype, entry.shape, entry.size)
        if entry.dtype != "string" or entry.shape != ():
            raise DamagedFileError("it is not a single string")
        return bytes(checkpoint.read(variable).item())


def _variables(contents: BundleContents, columns: Columns) -> Variables:
    table = contents.entries
    sizes, shards = table.numbers.sizes.tolist(), table.numbers.shards.tolist()
    for row, key, entry in table.sliced():
        parts = (contents.slices.get(encode_slice_key(key, extents)) for extents in entry.slices)
        sizes[row], shards[row] = sum(part.size for part in parts if part), -1
    dtypes, shapes = zip(*table.descriptions, strict=True)
    names, roles, owners, slots, trainable, paths = columns
    fields = (table, names, dtypes, shapes, sizes, roles, owners, slots, trainable, paths, shards)
    # Made from the tuples of columns directly: a call a variable would take four times as long.
    return tuple(map(partial(tuple.__new__, Variable), zip(*fields, strict=True)))
