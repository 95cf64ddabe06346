"""Rename rules, and ready-made sets of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    BadRuleError,
    CkptviewerError,
    NameCollisionError,
)
from ckptviewer.checkpoint.rename_sets import RULE_SETS, rules_of
from ckptviewer.checkpoint.renaming import RenameRule, parse_rule, rename, rename_all


@pytest.mark.parametrize(
    ("text", "pattern", "replacement"),
    [
        ("old=new", "old", "new"),
        ("gone=", "gone", ""),
        ("(?<=a/)b=c", "(?<=a/)b", "c"),
        ("a=b=c", "a=b", "c"),
        (r"a=b\=c", "a", "b=c"),
        (r"a\\=b", r"a\\", "b"),
        (r"a\=b=c", r"a\=b", "c"),
        (r"(\d+)=<\1>", r"(\d+)", r"<\1>"),
        (r"(?P<n>x)=\g<n>y", "(?P<n>x)", r"\g<n>y"),
    ],
)
def test_a_rule_is_split_at_the_last_equals_sign_without_a_backslash(
    text: str, pattern: str, replacement: str
) -> None:
    rule = parse_rule(text)
    assert (rule.pattern, rule.replacement) == (pattern, replacement)
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("old", "no equals sign"),
        ("", "no equals sign"),
        (r"a\=b", "no equals sign"),
        ("=new", "no pattern"),
        ("(=x", "no regular expression"),
        ("*=x", "no regular expression"),
        (r"a=\1", "invalid group reference"),
        (r"a=\g<name>", "unknown group name"),
        (r"a=\q", "bad escape"),
    ],
)
def test_a_bad_rule_is_told_with_its_remedy(text: str, what: str) -> None:
    with pytest.raises(BadRuleError, match=what) as caught:
        parse_rule(text)
    assert caught.value.remedy
    assert isinstance(caught.value, CkptviewerError)


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_rule_or_told(text: str) -> None:
    try:
        rule = parse_rule(text)
    except BadRuleError:
        return
    assert parse_rule(str(rule)) == rule


def test_rules_search_anywhere_in_order_and_see_what_those_before_made() -> None:
    rules = [parse_rule("a=b"), parse_rule("^b=c"), parse_rule(r"(\d)$=_\1")]
    assert rename("a/a1", rules) == "c/b_1"
    assert rename("x", rules) == "x"


def test_renaming_all_keeps_the_order_and_what_no_rule_touches() -> None:
    keys = ["m/b", "m/a", "other"]
    renamed = rename_all(keys, [parse_rule("^m/=")])
    assert list(renamed.items()) == [("m/b", "b"), ("m/a", "a"), ("other", "other")]


def test_a_collision_names_every_key_that_is_part_of_it() -> None:
    with pytest.raises(NameCollisionError) as caught:
        rename_all(["a/x", "b/x", "x", "y"], [parse_rule("^./=")])
    assert "x (from a/x, b/x, x)" in str(caught.value)
    assert "y" not in caught.value.what.split()


def test_a_rule_may_not_leave_nothing_of_a_key() -> None:
    with pytest.raises(BadRuleError, match="nothing"):
        rename_all(["kernel"], [RenameRule("kernel", "")])


@pytest.mark.parametrize(
    ("key", "renamed"),
    [
        ("net/conv1/weights:0", "net/conv1/kernel"),
        ("net/conv1/biases", "net/conv1/bias"),
        ("net/BatchNorm/moving_mean", "net/batch_normalization/moving_mean"),
        ("net/BatchNorm_2/beta", "net/batch_normalization_2/beta"),
        ("net/weights/Adam_1", "net/kernel/Adam_1"),
        ("net/reweights/x", "net/reweights/x"),
        ("sep/depthwise_weights", "sep/depthwise_kernel"),
    ],
)
def test_names_of_tensorflow_1_become_those_of_keras_and_go_back(key: str, renamed: str) -> None:
    assert rename(key, rules_of("tf1-to-tf2")) == renamed
    assert rename(renamed, rules_of("tf2-to-tf1")) == key.removesuffix(":0")


def test_every_ready_made_set_is_found_by_its_name() -> None:
    assert all(rules_of(name) == each.rules for name, each in RULE_SETS.items())
    assert rules_of("a=b") == (parse_rule("a=b"),)
    with pytest.raises(BadRuleError, match="equals sign") as raised:
        rules_of("nothing")
    assert "tf1-to-tf2" in raised.value.remedy
    with pytest.raises(BadRuleError) as raised:
        rules_of("(=b")
    assert "tf1-to-tf2" not in raised.value.remedy


def test_moving_averages_take_the_names_of_what_they_average() -> None:
    rules = RULE_SETS["average-as-variable"].rules
    assert rename("a/kernel/ExponentialMovingAverage", rules) == "a/kernel"
    assert rename("a/kernel", rules) == "a/kernel"


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+b", r"(a|aa)+$", r"(a*)*", r"(x+x+)+y", r"(?:\w+)*/", r"(.*a){20}", r"(a?){30}a{30}",
        "a?" * 30 + "a" * 30, r"(?=(a+)+b)", r"(?>(a+)+b)", r"(?i:(A+)+b)", r"([a-z]+|\w)*1",
        r"((a+)b?)+c", r"(a+)+?b", r"(?P<x>a+)+(?(x)c|d)", "((.*)*)*" * 3,
    ],
)  # fmt: skip
def test_patterns_that_may_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(BadRuleError, match="for ever"):
        RenameRule(pattern, "")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(\w+/)+x", r"([^/]+/)*kernel$", r"(?P<n>[a-z]+)_(\d+)", r"^(.*)/(.*)$",
        r"(.*)/(.*)/(.*)/x",
        r"(?:ab|cd)+e", r"(?:(?:ab)+c)+d", r"dense(_\d+)?/", r"^(?:model|net)/(.*)$", r"((((a)))+)",
        r"(a++)+b", r"(?>a+)+b", r"(?i)(A|a)+b", "|".join(f"model_{n}/x" for n in range(300)),
    ],
)  # fmt: skip
def test_patterns_that_people_write_are_taken(pattern: str) -> None:
    key = "model/layer_with_weights-0/bidirectional_1/forward_lstm/lstm_cell/recurrent_kernel"
    assert isinstance(RenameRule(pattern, "").apply(key), str)


def test_patterns_whose_examination_would_take_long_are_refused() -> None:
    with pytest.raises(BadRuleError, match="too many sets"):
        RenameRule("".join(f"[^{chr(0x4E00 + number)}]x?" for number in range(6000)), "")


def test_a_name_that_is_too_long_for_a_pattern_is_told() -> None:
    rule = RenameRule(r"(.*)/(.*)/(.*)x", "")
    assert rule.apply("a/b/c" * 5) == "a/b/c" * 5
    with pytest.raises(BadRuleError, match="3,000 characters"):
        rule.apply("a/b" * 1000)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("a", "b" * 60_000),
        ("(.*)", r"\1" * 30_000),
        ("", "b" * 60_000),
        (r"(?P<n>a)", r"\g<n>" * 9000),
    ],
)
def test_names_do_not_grow_beyond_a_million_characters(pattern: str, replacement: str) -> None:
    rule = RenameRule(pattern, replacement)
    with pytest.raises(BadRuleError, match="more than"):
        rename("a" * 200, [rule] * 50)
    assert len(RenameRule("^a", "b" * 60_000).apply("ac" * 200)) == 60_399


@settings(max_examples=300, deadline=None)
@given(
    st.from_regex(r"(\(?[ab.][*+?]?\|?\)?[*+?]?){1,6}", fullmatch=True), st.text("abc", max_size=24)
)
def test_what_is_taken_ends_soon(pattern: str, key: str) -> None:
    try:
        rule = RenameRule(pattern, "")
    except BadRuleError:
        return
    begun = time.process_time()
    rule.apply(key * 4)
    assert time.process_time() - begun < 5
