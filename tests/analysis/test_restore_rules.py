"""Rules that rename one side into the other are few, and do just that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis.restore_rules import rules_for
from ckptviewer.checkpoint.renaming import parse_rule, rename


def patterns(wanted: dict[str, str], keep: tuple[str, ...] = ()) -> list[str]:
    rules = rules_for(wanted, keep)
    for old, new in wanted.items():
        assert rename(old, rules) == new
    for key in keep:
        assert rename(key, rules) == key
    return [rule.pattern for rule in rules]


def test_one_rule_for_a_scope_that_was_renamed() -> None:
    layers = [f"layer_{number}/{leaf}" for number in range(12) for leaf in ("kernel", "bias")]
    assert len(patterns({f"bert/{each}": f"encoder/{each}" for each in layers})) == 1
    assert len(patterns({f"model/{each}": each for each in layers})) == 1
    assert len(patterns({each: f"model/{each}" for each in layers})) == 1
    middle = {f"net/{n}/attention/w": f"net/{n}/self_attention/w" for n in range(9)}
    assert len(patterns(middle)) == 1


def test_one_rule_for_all_numbers() -> None:
    wanted = {
        f"net/layer_{number}/{leaf}": f"net/blocks/{number}/{leaf}"
        for number in range(40)
        for leaf in ("kernel", "bias")
    }
    assert len(patterns(wanted, ("net/head/kernel",))) == 1


def test_many_different_renames_take_no_long_time_and_no_rules() -> None:
    wanted = {f"a{hash_}x/w": f"b{(hash_ * 7919) % 10007}y/w" for hash_ in range(3000)}
    assert rules_for(wanted) == ()


def test_what_binds_already_is_left_alone() -> None:
    wanted = {"old/a": "new/a", "old/b": "new/b"}
    assert patterns(wanted, ("old_style/a", "other/old/c")) == ["^old/"]


def test_a_leaf_that_was_renamed() -> None:
    wanted = {f"bn{number}/gamma": f"bn{number}/scale" for number in range(5)}
    assert patterns(wanted, ("dense/kernel",)) == ["gamma$"]


def test_what_no_scope_explains_has_a_rule_of_its_own() -> None:
    assert len(patterns({"a.b": "c", "d/e": "f"})) == 2


def test_names_that_swap_have_no_rules() -> None:
    assert rules_for({"a/w": "b/w", "b/w": "a/w"}) == ()


def test_nothing_to_rename() -> None:
    assert rules_for({}) == ()
    assert rules_for({"a": "a"}) == ()


names = st.lists(st.sampled_from(["a", "b", "a+", "(x", "w\\1", "é"]), min_size=1, max_size=3).map(
    "/".join
)


@given(st.dictionaries(names, names, max_size=6), st.lists(names, max_size=3))
def test_rules_are_right_or_there_are_none(wanted: dict[str, str], keep: list[str]) -> None:
    keep = [key for key in keep if key not in wanted]
    rules = rules_for(wanted, keep)
    if rules:
        rules = tuple(parse_rule(str(rule)) for rule in rules)  # as the command line takes them
        assert {key: rename(key, rules) for key in wanted} == wanted
        assert [rename(key, rules) for key in keep] == keep
