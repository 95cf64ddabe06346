"""How long it takes to open and to load what was exported, before and after: measured."""

from __future__ import annotations

import time
from dataclasses import replace

from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.export.execute import Report
from ckptviewer.export.receipt import Receipt, Timings


def with_timings(
    receipt: Receipt, *, cancel: CancelToken | None = None, report: Report | None = None
) -> Receipt:
    """The receipt with the time to open and to read both checkpoints whole, in this process.

    The source is read first, so that neither has more in memory than the other: what was written
    has just been read. Raises Cancelled, and what opening and reading raises.
    """
    total = receipt.bytes_before + receipt.bytes_after
    open_before, load_before = _timed(receipt.source, 0, total, cancel, report)
    name = receipt.destination + (".index" if receipt.format == "tf-bundle" else "")
    if len(receipt.files) > 1 and receipt.format != "tf-bundle":
        name = _last_file(receipt)
    open_after, load_after = _timed(name, receipt.bytes_before, total, cancel, report)
    return replace(
        receipt,
        timings=Timings(
            open_before=open_before,
            load_before=load_before,
            open_after=open_after,
            load_after=load_after,
        ),
    )


def _last_file(receipt: Receipt) -> str:
    import os

    return os.path.join(os.path.dirname(receipt.destination), list(receipt.files)[-1])


def _timed(
    path: str, done: int, total: int, cancel: CancelToken | None, report: Report | None
) -> tuple[float, float]:
    """Seconds to open, and then to read all that has values."""
    from ckptviewer.checkpoint.dtypes import Kind, kind_of
    from ckptviewer.formats.resolve import open_checkpoint

    started = time.perf_counter()
    with open_checkpoint(path) as checkpoint:
        variables = checkpoint.variables
        opened = time.perf_counter()
        for variable in variables:
            if kind_of(variable.dtype) is Kind.OPAQUE:
                continue
            if report is not None:
                label = f"Measuring how long {variable.key} takes to load"
                report(Progress(done=min(done, total), total=total, label=label))
            for _ in checkpoint.chunks(variable):
                if cancel is not None:
                    cancel.raise_if_cancelled()
            done += variable.stored_bytes
    return opened - started, time.perf_counter() - opened
