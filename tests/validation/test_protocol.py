"""Requests and events survive their way as JSON; what is no event says why."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.validation.gains import Gain, gains_of
from ckptviewer.validation.plain import BadDescriptionError, from_plain, to_plain
from ckptviewer.validation.protocol import (
    CheckpointSpec,
    DataKind,
    DataSpec,
    Hello,
    ImpactGroup,
    ImpactMethod,
    ImpactSpec,
    Measured,
    Measurements,
    MeasureRequest,
    MetricsSpec,
    ModelKind,
    ModelSpec,
    NamePair,
    Outcome,
    Preprocessing,
    StageProgress,
    ValidateRequest,
    decode_event,
    encode_request,
)

MODEL = ModelSpec(kind=ModelKind.KERAS, path="/a/b\udcff.keras", tags=("serve",))
REQUEST = ValidateRequest(
    model=MODEL,
    checkpoint=CheckpointSpec(
        path="/c", format="npz", bundle="/d", names=(NamePair(key="k", name="n"),)
    ),
    data=DataSpec(
        kind=DataKind.IMAGES,
        paths=("/e",),
        inputs={"x": "y"},
        image_size=(3, 4),
        preprocessing=(Preprocessing(scale=0.5),),
    ),
    metrics=MetricsSpec(names=("accuracy",), from_logits=False),
    impact=ImpactSpec(groups=(ImpactGroup(name="g", variables=("v",)),), method=ImpactMethod.NOISE),
)


def test_requests_go_there_and_back() -> None:
    line = encode_request(REQUEST)
    assert line.count(b"\n") == 1
    plain = json.loads(line)
    assert plain.pop("request") == "validate"
    assert from_plain(ValidateRequest, plain) == REQUEST
    assert from_plain(ValidateRequest, json.loads(json.dumps(to_plain(REQUEST)))) == REQUEST


def test_events_are_read_with_null_for_what_is_no_number() -> None:
    event = decode_event(
        b'{"event":"measurements","checkpoint":"a","examples":3,"values":{"loss":null,"mae":1}}'
    )
    assert isinstance(event, Measurements)
    assert event.values == {"loss": None, "mae": 1.0}


def change(path: str, value: Any) -> Any:
    plain = to_plain(REQUEST)
    *places, last = path.split(".")
    inside = plain
    for place in places:
        inside = inside[place]
    inside[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("data.batch_size", "x", "data.batch_size: a whole number is needed, and it is 'x'"),
        ("data.batch_size", True, "data.batch_size: a whole number"),
        ("data.image_size", [1], "data.image_size: a list of 2"),
        ("data.kind", "xml", "data.kind: 'xml' is none of npz, npy, csv"),
        ("data.inputs", [], "data.inputs: an object"),
        ("data.inputs", {"x": 3}, "data.inputs['x']: a text"),
        ("model", None, "model: an object"),
        ("metrics.name", "x", "metrics: there is no 'name' here. Known are names, loss"),
        ("checkpoint.names", [{"key": "k"}], "checkpoint.names[0].name: it is missing"),
        ("metrics.names", "accuracy", "metrics.names: a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(path: str, value: Any, said: str) -> None:
    with pytest.raises(BadDescriptionError) as raised:
        from_plain(ValidateRequest, change(path, value))
    assert said in str(raised.value)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63), 10**400])
def test_whole_numbers_beyond_64_bits_are_told(number: int) -> None:
    """What is worked out of them would be no float."""
    line = json.dumps({"event": "progress", "stage": "run", "done": number, "total": 1})
    with pytest.raises(BadDescriptionError, match=r"progress.done: .* at most 64 bits"):
        decode_event(line.encode())


@pytest.mark.parametrize("rows", [[[1, 2]], [[1], [2]], [[]], [[1, -1], [0, 1]]])
def test_a_confusion_that_cannot_be_painted_is_told(rows: list[list[int]]) -> None:
    plain = {"event": "measurements", "checkpoint": "a", "examples": 1}
    assert decode_event(json.dumps({**plain, "confusion": [[1, 2], [0, 3]]}).encode())
    with pytest.raises(BadDescriptionError, match="no square of counts"):
        decode_event(json.dumps({**plain, "confusion": rows}).encode())


def test_a_value_too_deep_to_be_shown_is_told() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadDescriptionError, match="stage: a text is needed"):
        from_plain(StageProgress, {"stage": deep}, "progress")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from(["event", "checkpoint", "hello", "model", "variables", "pid", "python"])


@given(st.dictionaries(names, json_values | names).map(lambda each: json.dumps(each).encode()))
def test_no_line_raises_anything_else(line: bytes) -> None:
    try:
        decode_event(line)
    except BadDescriptionError:
        pass


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b'{"event":3}'])
def test_no_junk_raises_anything_else(line: bytes) -> None:
    with pytest.raises(BadDescriptionError):
        decode_event(line)


# What slimming gained


def measured(**values: float) -> Outcome:
    hello = Hello(protocol=1, python="3", pid=1)
    return Outcome(hello=hello, measured=Measured(load_seconds=1.0, **values))


def gains(a: list[float], b: list[float], tmp_path: Any) -> dict[str, Gain]:
    requests = []
    for name, size in (("a", 3000), ("b", 1000)):
        (tmp_path / f"{name}.index").write_bytes(b"x" * 24)
        (tmp_path / f"{name}.data-00000-of-00001").write_bytes(b"x" * size)
        checkpoint = CheckpointSpec(path=str(tmp_path / name), format="tf-bundle")
        requests.append(MeasureRequest(model=MODEL, checkpoint=checkpoint))
    order: list[MeasureRequest] = []

    def perform(request: MeasureRequest) -> Outcome:
        order.append(request)
        values = a if request is requests[0] else b
        return measured(restore_seconds=values[(len(order) - 1) // 2], latency_seconds=0.25)

    found = gains_of(requests[0], requests[1], perform, runs=len(a))
    assert order == requests * len(a)  # they take turns
    return {each.name: each for each in found}


def test_gains_are_medians_of_turns(tmp_path: Any) -> None:
    found = gains([1.0, 1.2, 9.0], [0.5, 0.6, 0.4], tmp_path)
    assert found["Load time"].text == "1.2 s → 500 ms (58.3% less)"
    assert found["File size"].text == "3.0 kB → 1.0 kB (66.1% less)"
    assert found["Latency of a batch"].text == "no difference (250 ms)"
    assert found["Memory"].text == "not measured"


def test_within_the_noise_nothing_is_claimed(tmp_path: Any) -> None:
    assert not gains([1.0, 1.2, 1.1], [0.5, 0.6, 1.01], tmp_path)["Load time"].differs
    assert not gains([1.0, 1.0, 1.0], [0.99, 0.99, 0.99], tmp_path)["Load time"].differs
    assert gains([1.0, 1.0, 1.0], [0.9, 0.9, 0.9], tmp_path)["Load time"].differs
    assert math.isclose(gains([1.0], [0.9], tmp_path)["Load time"].b or 0, 0.9)
