"""Where a report may be written: never over what is read, or over what is being written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import UnwritableFileError

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint


def require_place(report: str, read: Iterable[Checkpoint], written: str | None = None) -> None:
    """Raise UnwritableFileError where a report must not or cannot be written.

    report: path of the report. read: the checkpoints that are read. written: path or prefix of the
    checkpoint that is to be written; None where none is.
    """
    from ckptviewer.export.plan import files_of_source

    directory = os.path.dirname(report) or os.curdir
    if not os.path.isdir(directory):
        raise UnwritableFileError(
            "there is no such directory", where=directory, remedy="Make it first."
        )
    files = [path for each in read for path in (each.path, *files_of_source(each))]
    if os.path.exists(report) and any(
        os.path.exists(path) and os.path.samefile(report, path) for path in files
    ):
        raise UnwritableFileError(
            "this is of a checkpoint that is read, which is never written",
            where=report,
            remedy="Give the report another name.",
        )
    if written is not None and _is_of(os.path.realpath(report), os.path.realpath(written)):
        raise UnwritableFileError(
            "this is a file of the checkpoint that is to be written",
            where=report,
            remedy="Give the report another name.",
        )


def _is_of(report: str, checkpoint: str) -> bool:
    return report in (checkpoint, f"{checkpoint}.index") or report.startswith(f"{checkpoint}.data-")
