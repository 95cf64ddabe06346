"""What the variables of a tensor bundle are called and what they are for.

Object-based checkpoints carry the graph of their objects, which knows; name-based ones have their
names, and perhaps the `.meta` file that was saved beside them.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, Columns, columns_by_name
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint, BundleContents


class BundleDescription(NamedTuple):
    """Names, roles and so on of the variables in the index's order, and facts about the whole."""

    columns: Columns
    facts: dict[str, str]
    written_by: str | None = None


def describe_bundle(contents: BundleContents, findings: list[Finding]) -> BundleDescription:
    """All that can be told without reading values; what is damaged becomes a finding."""
    if not contents.entries:
        return BundleDescription(Columns((), (), (), (), (), ()), {})
    dtypes, shapes = zip(*contents.entries.descriptions, strict=True)
    keys = tuple(contents.entries)
    if OBJECT_GRAPH_KEY in contents.entries:
        facts = {"Kind": "object-based (tf.train.Checkpoint)"}
        try:
            return BundleDescription(_by_graph(contents, keys, dtypes, shapes), facts)
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
            return BundleDescription(columns_by_name(keys, dtypes, shapes), facts)
    facts = {"Kind": "name-based (tf.train.Saver)"}
    meta = contents.prefix + ".meta"
    if os.path.isfile(meta):
        return _with_meta(meta, (keys, dtypes, shapes), facts, findings)
    return BundleDescription(columns_by_name(keys, dtypes, shapes), facts)


def _by_graph(
    contents: BundleContents,
    keys: tuple[str, ...],
    dtypes: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
) -> Columns:
    from ckptviewer.formats.object_graph import columns_of_object_graph

    return columns_of_object_graph(_graph_bytes(contents), keys, dtypes, shapes)


def _with_meta(
    path: str,
    entries: tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, ...], ...]],
    facts: dict[str, str],
    findings: list[Finding],
) -> BundleDescription:
    from ckptviewer.formats.graph_def import meta_beside

    facts["Graph"] = os.path.basename(path)
    meta = meta_beside(path, findings)
    if meta is None:
        return BundleDescription(columns_by_name(*entries), facts)
    columns = columns_by_name(
        *entries,
        trainable=meta.trainable,
        all_variables=meta.all_variables,
        moving_averages=meta.moving_averages,
    )
    version = meta.tensorflow_version
    return BundleDescription(columns, facts, f"TensorFlow {version}" if version else None)


def _graph_bytes(contents: BundleContents) -> bytes:
    """The serialized object graph, which is a string scalar of the bundle."""
    with BundleCheckpoint(contents, variables=()) as checkpoint:
        entry = contents.entries[OBJECT_GRAPH_KEY]
        variable = Variable(OBJECT_GRAPH_KEY, "", entry.dtype, entry.shape, entry.size)
        if entry.dtype != "string" or entry.shape != ():
            raise DamagedFileError("it is not a single string")
        return bytes(checkpoint.read(variable).item())
