"""What the validation worker says: somebody's model runs in it, and may write lines of its own.

Each line is decoded, and all that comes of it is judged, printed, kept and put into a receipt.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import redirect_stdout
from typing import Any, ClassVar

import numpy as np

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import OpaqueVariableError
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.validation.events import EVENTS, Event, Failure, Outcome, StageProgress
from ckptviewer.validation.plain import BadDescriptionError, to_plain
from ckptviewer.validation.report import ValidationReport, report_of
from ckptviewer.validation.verdict import Thresholds, parse_requirement
from tests.fuzz.place import DIRECTORY

MOST_LINES = 40
_NAMES = {kind: name for name, kind in EVENTS.items()}
_THRESHOLDS = Thresholds(requirements=(parse_requirement("accuracy>=0.5"),))
_TAG = re.compile(r"</?\s*([^\s>]*)")
_TAGS = frozenset(
    "!DOCTYPE html head meta title style body h1 h2 p dl dt dd div b table thead tbody tr th td "
    "pre".split()
)


def worker_events(data: bytes) -> None:
    """A line an event, as `launcher` hears them: what comes of one checkpoint, and of two.

    One event of each input is written again as the worker would.
    """
    from ckptviewer.validation.protocol import decode_event
    from ckptviewer.validation.results import Gathered

    gathered = Gathered()
    lines = data.split(b"\n")[:MOST_LINES]
    looked_at = zlib.crc32(data) % len(lines)
    for at, line in enumerate(lines):
        try:
            event = decode_event(line)
        except BadDescriptionError as error:
            str(error)
            continue
        if at == looked_at:
            plain = {"event": _NAMES[type(event)], **to_plain(event)}
            again = decode_event(json.dumps(plain).encode())
            assert repr(again) == repr(event), "an event does not read back"
        gathered.take(event)
        _told_at_once(event)
    outcome = gathered.outcome()
    report = _judged(outcome, "")
    _use(report)
    _use_in_receipt(report)
    if "b" in outcome.restored or outcome.agreement is not None:
        _use(_judged(outcome, "b"))


def _told_at_once(event: Event) -> None:
    from ckptviewer.validation.endings import failed
    from ckptviewer.validation.launcher import progress_of
    from ckptviewer.validation.logs import WorkerLog

    if isinstance(event, StageProgress):
        progress = progress_of(event)
        f"{progress.label} {progress.fraction:.0%} {progress.done:,} {progress.total:,}"
    if isinstance(event, Failure):
        log = WorkerLog(DIRECTORY / "log")
        str(failed(event, log))
        log.close()


def _judged(outcome: Outcome, against: str) -> ValidationReport:
    from ckptviewer.validation.gains import gains_of
    from ckptviewer.validation.protocol import (
        CheckpointSpec,
        MeasureRequest,
        ModelKind,
        ModelSpec,
    )
    from ckptviewer.validation.validating import _statistics

    rows, gains = (), []
    if against:
        with _FewVariables() as a, _FewVariables() as b:
            rows = _statistics(outcome, a, b, _AtOnce(), 1, None)
        request = MeasureRequest(
            model=ModelSpec(kind=ModelKind.KERAS, path="m.keras"),
            checkpoint=CheckpointSpec(path=str(DIRECTORY / "none"), format="npz"),
        )
        gains = gains_of(request, request, lambda _: outcome, runs=1)
    return report_of(
        outcome,
        checkpoint="a",
        model="m.keras",
        against=against,
        statistics=rows,
        thresholds=_THRESHOLDS,
        gains=gains,
    )


def _use(report: ValidationReport) -> None:
    """What scripts get is JSON; what is printed has no power over a terminal."""
    from ckptviewer.cli.validation_output import print_for_people
    from ckptviewer.validation.history import Earlier
    from ckptviewer.validation.validating import Validation

    document = json.loads(json.dumps(report.as_document(), allow_nan=False))
    validation: Any = Validation(recipe=None, data=None, expected=None)
    earlier = Earlier(
        at=0.0,
        verdict=report.verdict,
        checkpoint_path=report.checkpoint,
        against_path=report.against,
        document=document,
        same_checkpoint=True,
    )
    printed = io.StringIO()
    with redirect_stdout(printed):
        print_for_people(report, validation, [earlier])
    odd = {c for c in printed.getvalue() if unicodedata.category(c) in ("Cc", "Cf", "Cs")}
    assert odd <= {"\n"}, "what is printed has power over the terminal"


def _use_in_receipt(report: ValidationReport) -> None:
    """What is said of a restore stays text in a receipt, whatever it is."""
    from ckptviewer.export.receipt import Receipt
    from ckptviewer.export.receipt_pages import as_html, as_markdown
    from ckptviewer.export.restored import with_restore_check

    receipt = Receipt(
        source="a",
        destination="b",
        format="tf-bundle",
        kept=(),
        dropped=(),
        bytes_before=2,
        bytes_after=1,
        verified=True,
    )
    libraries = report.outcome.libraries
    tensorflow = libraries.tensorflow if libraries is not None else None
    receipt = with_restore_check(receipt, report.as_document(), tensorflow)
    json.dumps(receipt.as_full_document(), allow_nan=False)
    as_markdown(receipt)
    tags = set(_TAG.findall(as_html(receipt)))
    assert tags <= _TAGS, "what the worker says has become a part of the page"


class _AtOnce(Executor):
    """Works where it is asked to: no threads, so that inputs do the same each time."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future:
        future: Future = Future()
        future.set_result(work(*arguments, **named))
        return future


class _FewVariables(Checkpoint):
    """Numbers, no numbers, a text, and what has no values: keys that events may name."""

    VALUES: ClassVar[dict[str, np.ndarray | None]] = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "nan": np.array([np.nan, np.inf, 1], np.float32),
        "empty": np.zeros((0, 2), np.float32),
        "text": np.array([b"a"], object),
        "iterator": None,
    }

    def __init__(self) -> None:
        variables = [
            Variable(
                key=key,
                name=key,
                dtype=("string" if values.dtype == object else "float32")
                if values is not None
                else "variant",
                shape=values.shape if values is not None else (),
                stored_bytes=4 * values.size if values is not None else 0,
            )
            for key, values in self.VALUES.items()
        ]
        super().__init__(path="memory", format_name="npz", variables=variables)

    def checksum(self, variable: Variable) -> int | None:
        """Two of them are equal by it, and not read: that saves most of an input's time."""
        return 1 if variable.key in ("w", "text") else None

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        values = self.VALUES[variable.key]
        if values is None:
            raise OpaqueVariableError("it has no values", where=variable.key)
        return values[region] if region is not None else values

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        yield self.read(variable).reshape(-1)
