"""Comparisons as files: what is saved is read again, what is hostile is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis.saved_comparison import (
    KIND,
    SavedComparison,
    SavedSide,
    from_json,
)
from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.renaming import parse_rule

SAVED = SavedComparison(
    a=SavedSide(path="/data/model.ckpt-1", identity="12 345 bytes, 2024-05-01"),
    b=SavedSide(path="b.keras"),
    rules=(parse_rule(r"(?<=a)b=\1".replace(r"\1", "c")), parse_rule(r"^(x)=\1y")),
    by_hand={"old/kernel": "new/kernel", "gone": None, "\udc80odd": "ü"},
    atol=1e-6,
    rtol=0.25,
    model_only=True,
    thresholds=Thresholds(group_share=0.75),
)


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SAVED.to_json())
    return found | changes


def test_what_is_saved_is_read_again() -> None:
    assert from_json(SAVED.to_json()) == SAVED
    assert from_json(SAVED.to_json().encode()) == SAVED


def test_people_can_read_it() -> None:
    text = SAVED.to_json()
    assert "old/kernel" in text
    assert len(text.splitlines()) > 20
    assert json.loads(text)["kind"] == KIND


def test_what_is_left_out_has_its_default() -> None:
    least = {"kind": KIND, "version": 1, "a": {"path": "x"}, "b": {"path": "y"}}
    found = from_json(json.dumps(least))
    assert found == SavedComparison(a=SavedSide(path="x"), b=SavedSide(path="y"))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "something"},
        {"version": 2},
        {"version": True},
        {"version": None},
        {"a": None},
        {"a": {"path": ""}},
        {"a": {"path": 7}},
        {"a": {"path": "x\0y"}},
        {"b": {"path": "x" * 100_000}},
        {"rules": "x=y"},
        {"rules": [3]},
        {"rules": [{"pattern": "(", "replacement": ""}]},
        {"rules": [{"pattern": "a", "replacement": r"\9"}]},
        {"rules": [{"pattern": "a", "replacement": "b"}] * 1001},
        {"by_hand": []},
        {"by_hand": {"a": 1}},
        {"atol": -1},
        {"atol": "0"},
        {"rtol": float("inf")},
        {"rtol": 10**400},
        {"model_only": 1},
        {"thresholds": {"group_share": 3}},
        {"thresholds": {"unknown": 3}},
        {"thresholds": 3},
    ],
)
def test_what_is_not_as_it_should_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DamagedFileError) as caught:
        from_json(json.dumps(document(**changes)), where="saved.json")
    assert caught.value.where == "saved.json"
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe", '{"a":1}'])
def test_what_is_no_such_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(DamagedFileError):
        from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(document())), json_values)
def test_any_value_in_any_place_is_understood_or_refused(name: str, value: Any) -> None:
    try:
        found = from_json(json.dumps(document(**{name: value})))
    except CkptviewerError:
        return
    assert from_json(found.to_json()) == found


def test_a_rule_that_could_take_for_ever_is_refused_with_the_file() -> None:
    document = json.loads(SavedComparison(a=SavedSide(path="/a"), b=SavedSide(path="/b")).to_json())
    document["rules"] = [{"pattern": "(a+)+b", "replacement": ""}]
    with pytest.raises(DamagedFileError, match="for ever"):
        from_json(json.dumps(document))


def test_patterns_without_end_are_refused() -> None:
    document = json.loads(SavedComparison(a=SavedSide(path="/a"), b=SavedSide(path="/b")).to_json())
    document["rules"] = [{"pattern": "a|b" * 20_000, "replacement": ""}] * 10
    with pytest.raises(DamagedFileError, match="together"):
        from_json(json.dumps(document))
