"""The live preview of rename rules, while they are being typed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis.rename_preview import preview
from ckptviewer.checkpoint.renaming import RenameRule

KEYS_A = ["old/kernel", "old/bias", "other/kernel", "step"]
KEYS_B = ["new/kernel", "new/bias", "other/kernel"]


def test_it_tells_what_each_key_becomes_and_whether_b_has_it() -> None:
    found = preview(KEYS_A, KEYS_B, ["^old/=new/", "^step$=global_step"])
    assert [(row.key, row.new_key, row.rules, row.found) for row in found.rows] == [
        ("old/kernel", "new/kernel", (0,), True),
        ("old/bias", "new/bias", (0,), True),
        ("step", "global_step", (1,), False),
    ]
    assert (found.found, found.lost) == (2, 0)
    assert found.problems == ("", "")
    assert found.unused == ()


def test_a_bad_rule_is_told_as_text_and_does_nothing() -> None:
    found = preview(KEYS_A, KEYS_B, ["^old/=new/", "(=x", "half", ""])
    assert len(found.rows) == 2
    assert found.problems[0] == found.problems[3] == ""
    assert found.problems[1].startswith("It is no regular expression")
    assert "equals sign" in found.problems[2]


def test_rules_that_do_nothing_are_told() -> None:
    found = preview(KEYS_A, KEYS_B, ["nothing=x", "^old=new", RenameRule("none", "y")])
    assert found.unused == (0, 2)


def test_several_rules_that_change_one_key_are_named() -> None:
    found = preview(["a/b"], [], ["a=c", "c=d", "x=y"])
    assert found.rows[0].new_key == "d/b"
    assert found.rows[0].rules == (0, 1)


def test_a_rule_that_takes_a_key_and_gives_it_back_is_used() -> None:
    found = preview(["a"], ["a"], ["a=b", "b=a"])
    assert found.rows == ()
    assert found.unused == ()


def test_collisions_and_lost_keys_are_told() -> None:
    found = preview(["a/x", "b/x", "x"], ["x", "a/x"], ["^./="])
    assert found.collisions == {"x": ["a/x", "b/x", "x"]}
    assert all(row.collides for row in found.rows)
    assert found.lost == 1


@given(st.lists(st.text(max_size=12), max_size=4), st.lists(st.text(max_size=6), max_size=5))
def test_whatever_is_typed_has_a_preview(rules: list[str], keys: list[str]) -> None:
    found = preview(keys, keys, rules)
    assert len(found.problems) == len(rules)
    assert {row.key for row in found.rows} <= set(keys)


def test_a_rule_that_would_take_too_long_does_nothing_and_is_told() -> None:
    keys = ["a/b" * 1000, "old/x"]
    found = preview(keys, ["new/x"], ["(.*)/(.*)/(.*)q=", "^old/=new/"])
    assert "very long" in found.problems[0]
    assert not found.problems[1]
    assert [row.new_key for row in found.rows] == ["new/x"]
