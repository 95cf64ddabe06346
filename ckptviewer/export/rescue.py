"""Rescue: a new checkpoint from all that is intact in a damaged one."""

from __future__ import annotations

import os

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import (
    Cancelled,
    ChangedFileError,
    CkptviewerError,
    MissingLibraryError,
)
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.export.execute import Report, bundle_prefix, check_destination, execute
from ckptviewer.export.plan import (
    Dropped,
    ExportPlan,
    Kept,
    bytes_of,
    files_of_source,
    written_bytes,
)
from ckptviewer.export.receipt import Receipt
from ckptviewer.formats.bundle_writer import why_unwritable
from ckptviewer.formats.object_pruning import prune_object_graph

_GRAPH_LOST = (
    "; without the object graph, values are found by their keys, and not by tf.train.Checkpoint"
)


def rescue(
    source: Checkpoint,
    destination: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    cancel: CancelToken | None = None,
    report: Report | None = None,
) -> Receipt:
    """Write what is intact in `source` to the bundle `destination`.

    Where nothing is, nothing is written: the receipt keeps nothing and is not verified.
    Raises as `execute` does.
    """
    prefix = bundle_prefix(destination)
    check_destination(source, prefix, overwrite=overwrite)
    plan = plan_rescue(source, cancel=cancel, report=report)
    if plan.kept:
        return execute(plan, source, prefix, overwrite=overwrite, cancel=cancel, report=report)
    return Receipt(
        source=plan.source,
        destination=prefix,
        format=plan.format,
        kept=(),
        dropped=plan.dropped,
        bytes_before=plan.bytes_before,
        bytes_after=0,
        verified=False,
    )


def plan_rescue(
    checkpoint: Checkpoint, *, cancel: CancelToken | None = None, report: Report | None = None
) -> ExportPlan:
    """Keep each variable that reads to its end without an error; all of them are read once.

    Keys stay as they are. An object graph that names variables which are lost is pruned. Metadata
    alone is nothing worth keeping. Raises ChangedFileError, MissingLibraryError, Cancelled.
    """
    kept: dict[str, Variable] = {}
    dropped: list[Dropped] = []
    done, total = 0, sum(variable.stored_bytes for variable in checkpoint.variables)
    for variable in checkpoint.variables:
        if report is not None:
            report(Progress(done=done, total=total, label=f"Reading {variable.key}"))
        reason = _why_lost(checkpoint, variable, cancel)
        if reason:
            dropped.append(Dropped(key=variable.key, reason=reason))
        else:
            kept[variable.key] = variable
        done += variable.stored_bytes
    graph = None
    if dropped or any(finding.code == "damaged-index" for finding in checkpoint.findings):
        graph = _pruned_graph(checkpoint, kept, dropped)
    if all(variable.role is Role.METADATA for variable in kept.values()):
        nothing = "there is no intact variable that it describes"
        dropped += [Dropped(key=key, reason=nothing) for key in kept]
        kept, graph = {}, None
    return ExportPlan(
        source=checkpoint.path,
        format="tf-bundle",
        kept=tuple(
            Kept(key=key, key_written=key, written_bytes=written_bytes(variable))
            for key, variable in kept.items()
        ),
        dropped=tuple(dropped),
        bytes_before=bytes_of(files_of_source(checkpoint)),
        object_graph=graph,
    )


def _why_lost(checkpoint: Checkpoint, variable: Variable, cancel: CancelToken | None) -> str:
    """Why a variable cannot be saved; empty where it can."""
    unwritable = why_unwritable(variable.key, variable.dtype, variable.shape)
    if unwritable and variable.dtype in BY_NAME:
        return unwritable
    if unwritable:  # of what is damaged not even the dtype may be known
        for finding in checkpoint.findings:
            if finding.variable == variable.key:
                return finding.message.removesuffix(".")
    try:
        for _ in checkpoint.stored_chunks(variable) or checkpoint.chunks(variable):
            if cancel is not None:
                cancel.raise_if_cancelled()
    except (Cancelled, ChangedFileError, MissingLibraryError):
        raise
    except CkptviewerError as error:
        elsewhere = error.where and error.where != variable.key
        reason = f"{error.where}: {error.what}" if elsewhere else error.what
        return reason + (_GRAPH_LOST if variable.key == OBJECT_GRAPH_KEY else "")
    return unwritable


def _pruned_graph(
    checkpoint: Checkpoint, kept: dict[str, Variable], dropped: list[Dropped]
) -> bytes | None:
    """The object graph without what is lost; variables that the index has lost are named, too."""
    variable = kept.get(OBJECT_GRAPH_KEY)
    if variable is None or variable.dtype != "string" or variable.shape:
        return None
    try:
        graph, lost = prune_object_graph(checkpoint.read(variable).item(), kept)
    except CkptviewerError as error:
        del kept[OBJECT_GRAPH_KEY]
        dropped.append(Dropped(key=OBJECT_GRAPH_KEY, reason=error.what + _GRAPH_LOST))
        return None
    told = {each.key for each in dropped}
    dropped += [
        Dropped(key=key, reason="the index has lost its entry")
        for key in dict.fromkeys(lost)
        if key not in told
    ]
    return graph if lost else None
