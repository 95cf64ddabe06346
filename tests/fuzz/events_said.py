"""What a worker says in sound runs, as it says it: a line an event."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ckptviewer.validation import protocol as p
from ckptviewer.validation.events import EVENTS, Event
from ckptviewer.validation.plain import to_plain

_DIGEST = p.Digest(digest="0" * 40, count=6, nonfinite=1, mean=2.5, std=1.5, kurtosis=-1.0)
_INPUT = p.TensorInfo(name="x", dtype="float32", shape=(None, 2))
_SIGNATURE = p.SignatureInfo(name="serving_default", inputs=(_INPUT,), outputs=(_INPUT,))
_KEYS = {"dense/kernel": "w", "vocabulary": "text"}


def lines_said(sides: str = "ab") -> bytes:
    """Every kind of event there is; of checkpoints called `sides`."""
    name = {kind: name for name, kind in EVENTS.items()}
    events = [*_at_first(), *(event for side in sides for event in _of_one(side))]
    plain = [
        {"event": name[type(event)], **to_plain(event)} for event in (*events, *_at_last(sides))
    ]
    return b"\n".join(json.dumps(each).encode() for each in plain)


def _at_first() -> Iterator[Event]:
    yield p.Hello(protocol=1, python="3.11.7", pid=1, tensorflow="2.21.0")
    yield p.Libraries(tensorflow="2.21.0", keras="3.15.0", seconds=2.0)
    yield p.StageProgress(stage="run", done=32, total=64, label="b", checkpoint="a")
    yield p.Note(code="note", severity="warning", message="Something.", variable="dense/kernel")
    yield p.ModelInfo(
        kind=p.ModelKind.KERAS,
        signature="serving_default",
        signatures=(_SIGNATURE,),
        variables=tuple(
            p.VariableInfo(name=name, dtype="float32", shape=(2, 3), trainable=True)
            for name in _KEYS
        ),
        collections={"variables": ("w",)},
    )


def _at_last(sides: str) -> Iterator[Event]:
    agreement = p.OutputAgreement(
        output="y", examples=64, argmax=0.98, agreement=0.98, max_abs=0.1, mean_abs=0.01,
        differing=(3,), nonfinite=2, nonfinite_examples=1, nonfinite_at=(5,),
    )  # fmt: skip
    if "b" in sides:
        yield p.Agreement(outputs=(agreement,))
        yield p.Measured(load_seconds=1.0, restore_seconds=0.5, memory_bytes=10_000_000)
    else:
        group = p.GroupImpact(name="dense", variables=("w",), value=0.5, loss_of_metric=0.25)
        method = p.ImpactMethod.NOISE
        yield p.Impact(metric="accuracy", method=method, baseline=0.75, groups=(group,))
        yield p.Failure(stage="run", type="ValueError", message="it failed", remedy="Try again.")
    yield p.Done(seconds=3.5)


def _of_one(side: str) -> list[Event]:
    read = [
        p.VariableReadBack(
            name=name, key=key, before=_DIGEST, after=_DIGEST, file=_DIGEST,
            changed=True, equal=side == "a" or None,
        )
        for name, key in _KEYS.items()
    ]  # fmt: skip
    return [
        p.Restored(
            checkpoint=side,
            mode=p.BindMode.AUTO,
            how="the object graph",
            bound=tuple(p.Bound(key=key, name=name, rule="x") for name, key in _KEYS.items()),
            missing=(p.Missing(name="more", dtype="float32", shape=(2,)),) if side == "b" else (),
            unused=("iterator",),
            mismatched=(p.Mismatched(key="k", name="n", reason="the shapes differ"),)
            if side == "b"
            else (),
            assertions=(p.Assertion(name="assert_consumed", passed=True, message="yes"),),
        ),
        p.ReadBack(checkpoint=side, variables=tuple(read)),
        p.Measurements(
            checkpoint=side,
            examples=64,
            values={"accuracy": 0.75, "loss": None},
            classes=(p.ClassMetrics(label="0", count=3, predicted=3, correct=2, recall=0.5),),
            confusion=((2, 1), (0, 3)),
            worst=(p.Example(index=7, loss=1.5, truth="0", prediction="1"),),
            output="y",
            batch_size=32,
            latency_seconds=0.01,
            throughput=3200.0,
            nonfinite_outputs=1,
        ),
    ]
