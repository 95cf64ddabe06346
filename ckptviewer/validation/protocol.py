"""What the program asks of the validation worker, and what it hears: one JSON object a line.

The worker knows none of this code, only these names (worker/channel.py has its side): a request
goes to its standard input as `{"request": KIND, ...}`, and events come back as
`{"event": KIND, ...}` on what was its standard output when it was started. The first event is a
`Hello` with the protocol's version. Numbers that are not finite come as null.
"""

from __future__ import annotations

import json

from ckptviewer.validation.events import (
    EVENTS,
    Agreement,
    Assertion,
    Bound,
    ClassMetrics,
    Digest,
    Done,
    Event,
    Example,
    Failure,
    GroupImpact,
    Hello,
    Impact,
    Libraries,
    Measured,
    Measurements,
    Mismatched,
    Missing,
    ModelInfo,
    Note,
    Outcome,
    OutputAgreement,
    ReadBack,
    Restored,
    SignatureInfo,
    StageProgress,
    TensorInfo,
    VariableInfo,
    VariableReadBack,
)
from ckptviewer.validation.plain import BadDescriptionError, from_plain, shown, to_plain
from ckptviewer.validation.requests import (
    REQUESTS,
    BindMode,
    CheckpointSpec,
    DataKind,
    DataSpec,
    Feature,
    ImpactGroup,
    ImpactMethod,
    ImpactSpec,
    InspectRequest,
    MeasureRequest,
    MetricsSpec,
    ModelKind,
    ModelSpec,
    NamePair,
    Preprocessing,
    Request,
    ValidateRequest,
)

PROTOCOL_VERSION = 1

__all__ = [
    "PROTOCOL_VERSION",
    "Agreement",
    "Assertion",
    "BindMode",
    "Bound",
    "CheckpointSpec",
    "ClassMetrics",
    "DataKind",
    "DataSpec",
    "Digest",
    "Done",
    "Event",
    "Example",
    "Failure",
    "Feature",
    "GroupImpact",
    "Hello",
    "Impact",
    "ImpactGroup",
    "ImpactMethod",
    "ImpactSpec",
    "InspectRequest",
    "Libraries",
    "MeasureRequest",
    "Measured",
    "Measurements",
    "MetricsSpec",
    "Mismatched",
    "Missing",
    "ModelInfo",
    "ModelKind",
    "ModelSpec",
    "NamePair",
    "Note",
    "Outcome",
    "OutputAgreement",
    "Preprocessing",
    "ReadBack",
    "Request",
    "Restored",
    "SignatureInfo",
    "StageProgress",
    "TensorInfo",
    "ValidateRequest",
    "VariableInfo",
    "VariableReadBack",
    "decode_event",
    "encode_request",
]


def encode_request(request: Request) -> bytes:
    """One line, with its line feed."""
    plain = {"request": REQUESTS[type(request)], **to_plain(request)}
    return json.dumps(plain, separators=(",", ":")).encode("ascii") + b"\n"


def decode_event(line: bytes) -> Event:
    """The event on one line. Raises BadDescriptionError: the worker runs code we do not know."""
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDescriptionError("the line is not JSON", where="event") from error
    if not isinstance(plain, dict):
        raise BadDescriptionError("the line is not an object", where="event")
    name = plain.pop("event", None)
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadDescriptionError(f"there is no event {shown(name)}", where="event")
    event: Event = from_plain(kind, plain, str(name))
    if isinstance(event, Measurements):
        rows = event.confusion
        if any(len(row) != len(rows) or min(row) < 0 for row in rows):
            raise BadDescriptionError("it is no square of counts", where=f"{name}.confusion")
    return event
