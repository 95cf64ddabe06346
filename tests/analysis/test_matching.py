"""Matching, step by step: what pairs variables, and what must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis.crc_arithmetic import combined_crc, crc_of_repeated
from ckptviewer.analysis.known_renames import canonical, list_rank, renumbered
from ckptviewer.analysis.matching import Match, Reason, match_variables
from ckptviewer.analysis.matching_checksums import is_constant, peek_region
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.renaming import parse_rule
from ckptviewer.checkpoint.variable import Role
from tests.analysis.described_checkpoint import described
from tests.analysis.memory_checkpoint import MemoryCheckpoint

RNG = np.random.default_rng(7)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def by_a(matches: Sequence[Match]) -> dict[str, Match]:
    return {match.key_a: match for match in matches if match.key_a is not None}


def pairs(matches: Sequence[Match]) -> set[tuple[str | None, str | None]]:
    return {(match.key_a, match.key_b) for match in matches}


def assert_complete(
    a: Checkpoint, b: Checkpoint, matches: Sequence[Match], without: Sequence[str] = ()
) -> None:
    """Each variable of both sides is in exactly one match, or among its aliases."""
    for side, checkpoint in (("a", a), ("b", b)):
        seen = []
        for match in matches:
            key = getattr(match, f"key_{side}")
            seen += [] if key is None else [key]
            seen += getattr(match, f"aliases_{side}")
        wanted = [each.key for each in checkpoint.variables if each.key not in without]
        assert sorted(seen) == sorted(wanted)
    for match in matches:
        paired = match.key_a is not None and match.key_b is not None
        assert (match.reason is not None) is paired
        assert (match.confidence > 0) is paired
        assert match.why


def matched(
    arrays_a: Mapping[str, np.ndarray],
    arrays_b: Mapping[str, np.ndarray],
    fields_a: Mapping[str, Mapping[str, Any]] | None = None,
    fields_b: Mapping[str, Mapping[str, Any]] | None = None,
    checksums: bool = True,
    **options: Any,
) -> tuple[Match, ...]:
    a = described(arrays_a, fields_a, checksums=checksums)
    b = described(arrays_b, fields_b, checksums=checksums)
    matches = match_variables(a, b, **options)
    if not options.get("model_only"):
        assert_complete(a, b, matches)
    assert match_variables(a, b, **options) == matches
    return matches


def test_equal_keys_are_matched_and_the_rest_stays_in_natural_order() -> None:
    a = {"net/l10/kernel": values(3), "net/l2/kernel": values(4), "net/l2/old": values(9)}
    b = {"net/l2/kernel": values(4), "net/l9/new": values(7), "net/l10/kernel": values(3)}
    found = [(match.key_a, match.key_b) for match in matched(a, b)]
    assert found == [
        ("net/l2/kernel", "net/l2/kernel"),
        ("net/l2/old", None),
        (None, "net/l9/new"),
        ("net/l10/kernel", "net/l10/kernel"),
    ]


def test_equal_names_under_other_keys_are_matched() -> None:
    matches = matched(
        {"model/layer-1/kernel": values(3, 2)},
        {"layers/dense/vars/0": values(3, 2)},
        {"model/layer-1/kernel": {"name": "dense/kernel"}},
        {"layers/dense/vars/0": {"name": "dense/kernel"}},
    )
    assert matches[0].reason is Reason.NAME


def test_a_key_that_counts_entries_of_a_list_says_less_than_a_name() -> None:
    same = values(4, 4)
    a = {f"variables/{i}": value for i, value in enumerate([values(4, 4), same])}
    b = {f"variables/{i}": value for i, value in enumerate([same, values(4, 4)])}
    names_a = {f"variables/{i}": {"name": n} for i, n in enumerate(("x/kernel", "y/kernel"))}
    names_b = {f"variables/{i}": {"name": n} for i, n in enumerate(("y/kernel", "z/kernel"))}
    found = by_a(matched(a, b, names_a, names_b))
    assert found["variables/1"].key_b == "variables/0"
    assert found["variables/1"].reason is Reason.NAME
    # Without names, the place in the list is what is left.
    assert all(match.key_a == match.key_b for match in matched(a, b, checksums=False))


def test_where_a_layer_was_put_in_between_shapes_tell_that_names_are_right() -> None:
    shapes = {"a": (3, 4), "b": (4, 5), "new": (4, 4), "c": (5, 6)}
    old, new = ["a", "b", "c"], ["a", "new", "b", "c"]
    sides = []
    for layers in (old, new):
        arrays = {f"layer-{i}/kernel": values(*shapes[n]) for i, n in enumerate(layers)}
        names = {f"layer-{i}/kernel": {"name": f"{n}/kernel"} for i, n in enumerate(layers)}
        sides.append((arrays, names))
    matches = matched(sides[0][0], sides[1][0], sides[0][1], sides[1][1])
    assert pairs(matches) == {
        ("layer-0/kernel", "layer-0/kernel"),
        ("layer-1/kernel", "layer-2/kernel"),
        ("layer-2/kernel", "layer-3/kernel"),
        (None, "layer-1/kernel"),
    }


def test_renumbered_names_do_not_overrule_keys_where_shapes_agree() -> None:
    # A model built a second time in the same program: its names begin with another number.
    arrays = {f"layer-{i}/kernel": values(4, 4) for i in range(3)}
    first = {f"layer-{i}/kernel": {"name": f"dense_{i}/kernel"} for i in range(3)}
    second = {f"layer-{i}/kernel": {"name": f"dense_{i + 1}/kernel"} for i in range(3)}
    matches = matched(arrays, arrays, first, second)
    assert all(match.key_a == match.key_b for match in matches)


def test_rules_come_before_keys() -> None:
    matches = matched(
        {"old/kernel": values(2, 2), "kept/kernel": values(2, 2)},
        {"new/kernel": values(2, 2), "old/kernel": values(2, 2), "kept/kernel": values(2, 2)},
        rules=[parse_rule("^old/=new/")],
    )
    found = by_a(matches)
    assert found["old/kernel"].key_b == "new/kernel"
    assert found["old/kernel"].reason is Reason.RULE
    assert found["old/kernel"].confidence == 1
    assert found["kept/kernel"].reason is Reason.KEY
    assert (None, "old/kernel") in pairs(matches)


def test_rules_also_look_at_names() -> None:
    matches = matched(
        {"model/layer-1/w/.ATTRIBUTES/VARIABLE_VALUE": values(2, 2)},
        {"target/kernel": values(2, 2)},
        {"model/layer-1/w/.ATTRIBUTES/VARIABLE_VALUE": {"name": "old/w"}},
        rules=[parse_rule("^old/w$=target/kernel")],
    )
    assert matches[0].reason is Reason.RULE


def test_of_several_variables_that_a_rule_makes_one_none_is_matched_by_it() -> None:
    matches = matched(
        {"a/x/u": values(2, 3), "b/x/u": values(2, 3)},
        {"x/u": values(2, 3)},
        rules=[parse_rule("^[ab]/=")],
    )
    assert all(match.reason is not Reason.RULE for match in matches)


def test_corrections_by_hand_come_first() -> None:
    a = {"x": values(3), "y": values(3), "z": values(3)}
    b = {"x": values(3), "y": values(3), "z": values(3)}
    found = by_a(matched(a, b, by_hand={"x": "y", "z": None, "gone": "x"}))
    assert (found["x"].key_b, found["x"].reason) == ("y", Reason.HAND)
    assert found["z"].key_b is None
    assert "by hand" in found["z"].why
    # The later of two that want the same.
    found = by_a(matched(a, b, by_hand={"x": "z", "y": "z"}))
    assert found["y"].key_b == "z"
    assert found["x"].key_b == "x"


def test_content_is_matched_by_a_checksum_that_is_unique_on_both_sides() -> None:
    content = values(5, 3)
    found = matched({"one/alpha": content}, {"two/beta": content})
    assert [(m.key_a, m.key_b, m.reason) for m in found] == [
        ("one/alpha", "two/beta", Reason.CHECKSUM)
    ]


def test_a_checksum_found_twice_matches_nothing() -> None:
    content = values(40)
    matches = matched({"p/u": content}, {"q/v": content, "r/w": content})
    assert all(match.reason is not Reason.CHECKSUM for match in matches)
    matches = matched(
        {"p/u": content, "s/t": content, "k": content}, {"q/v": content, "k": content}
    )
    assert all(match.reason is not Reason.CHECKSUM for match in matches)


@pytest.mark.parametrize("value", [0, 1, 0.1, np.nan])
@pytest.mark.parametrize("count", [2, 16, 17, 1000])
def test_constant_tensors_never_match_by_checksum(value: float, count: int) -> None:
    content = np.full(count, value, np.float32)
    for match in matched({"p/u": content}, {"q/v": content}):
        assert match.reason is None


def test_a_tensor_that_only_begins_as_a_constant_does_is_none() -> None:
    content = np.zeros(1000, np.float32)
    content[-1] = 3
    a = described({"p/u": content})
    assert not is_constant(a, a["p/u"])
    assert match_variables(a, described({"q/v": content}))[0].reason is Reason.CHECKSUM


def test_dtype_and_shape_belong_to_the_content() -> None:
    content = values(6, 2)
    for other in (content.view(np.int32), content.reshape(2, 6), content.reshape(12)):
        assert {m.reason for m in matched({"p/u": content}, {"q/v": other})} == {None}


def test_weights_and_slots_are_never_matched_by_content_or_shape() -> None:
    content = values(8, 8)
    matches = matched(
        {"net/kernel": content},
        {"other/thing": content},
        {"net/kernel": {"role": Role.WEIGHT}},
        {"other/thing": {"role": Role.OPTIMIZER_SLOT}},
    )
    assert {match.reason for match in matches} == {None}


def test_little_is_read_for_it() -> None:
    regions = []

    class Spied(MemoryCheckpoint):
        def read(self, variable: Any, region: Any = None) -> np.ndarray:
            regions.append(region)
            return super().read(variable, region)

    big = np.zeros((300, 70), np.float32)
    key = "p/u"
    a = Spied({key: big}, checksums={key: 1})
    assert not is_constant(a, a[key])
    assert np.empty((300, 70))[regions[0]].size <= 16


def test_what_cannot_be_read_counts_as_constant() -> None:
    broken = MemoryCheckpoint({"u": values(9)}, damaged={"u": DamagedFileError("torn")})
    assert is_constant(broken, broken["u"])


def test_slots_follow_their_owners() -> None:
    names = ("old/place", "new/spot")
    sides = []
    for name in names:
        arrays = {name: values(4, 4), f"{name}/Adam": values(4, 4), f"{name}/Adam_1": values(4, 4)}
        sides.append(arrays)
    sides[1]["new/spot"] = sides[0]["old/place"]
    found = by_a(matched(*sides))
    assert found["old/place"].reason is Reason.CHECKSUM
    for slot in ("Adam", "Adam_1"):
        assert found[f"old/place/{slot}"].key_b == f"new/spot/{slot}"
        assert found[f"old/place/{slot}"].reason is Reason.SLOT_OWNER


def test_slots_of_other_generations_of_an_optimizer_are_known() -> None:
    kernel = {"dense/kernel": values(3, 3)}
    a = kernel | {"dense/kernel/Adam": values(3, 3), "dense/kernel/Adam_1": values(3, 3)}
    b = kernel | {"optimizer/vars/1": values(3, 3), "optimizer/vars/2": values(3, 3)}
    slot = {"role": Role.OPTIMIZER_SLOT, "slot_of": "dense/kernel"}
    fields = {
        "optimizer/vars/1": slot | {"slot_name": "momentum"},
        "optimizer/vars/2": slot | {"slot_name": "velocity"},
    }
    found = by_a(matched(a, b, None, fields))
    assert found["dense/kernel/Adam"].key_b == "optimizer/vars/1"
    assert found["dense/kernel/Adam_1"].key_b == "optimizer/vars/2"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("net/conv1/weights:0", "net/conv1/kernel"),
        ("net/conv1/biases", "net/conv1/bias"),
        ("net/dense/kernel/ExponentialMovingAverage", "net/dense/kernel"),
        ("layers/dense/vars/kernel", "dense/kernel"),
        ("model/d/kernel/.ATTRIBUTES/VARIABLE_VALUE", "model/d/kernel"),
        ("layers/bi/forward_layer/cell/vars/1", "bi/forward_lstm/lstm_cell/recurrent_kernel"),
        ("mha/_query_dense/0", "mha/query/kernel"),
        ("mha/output_dense/bias", "mha/attention_output/bias"),
        ("bn.running_mean", "bn/moving_mean"),
        ("depthwise_conv2d/depthwise_kernel", "depthwise_conv2d/kernel"),
        ("_all_variables/stem/kernel", "stem/kernel"),
    ],
)
def test_generations_of_names_have_one_canonical_form(name: str, other: str) -> None:
    assert canonical(name) == canonical(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a/kernel", "b/kernel"),
        ("sep/depthwise_kernel", "sep/kernel"),
        ("lstm/kernel", "lstm/recurrent_kernel"),
        ("bn/gamma", "bn/beta"),
        ("dense/kernel", "dense_1/kernel"),
        ("bi/forward_lstm/kernel", "bi/backward_lstm/kernel"),
    ],
)
def test_different_variables_stay_apart(name: str, other: str) -> None:
    assert canonical(name) != canonical(other)


@given(st.text(alphabet="ab_/.:0129", max_size=40))
def test_any_name_has_a_canonical_form(name: str) -> None:
    assert canonical(name)


def test_names_without_end_take_no_time_without_end() -> None:
    deep = "a/" * 20_000
    a = {f"{deep}x/kernel": values(3, 2), f"{deep}y/kernel": values(3, 2)}
    b = {f"b/{deep}x/kernel": values(3, 2), f"b/{deep}y/kernel": values(3, 2)}
    assert all(match.reason for match in matched(a, b))


def test_known_renames_are_matched_though_all_values_differ() -> None:
    a = {"net/fc/weights": values(5, 3), "net/fc/biases": values(3)}
    b = {"net/fc/kernel": values(5, 3), "net/fc/bias": values(3)}
    found = by_a(matched(a, b))
    assert found["net/fc/weights"].key_b == "net/fc/kernel"
    assert found["net/fc/biases"].key_b == "net/fc/bias"
    assert {match.reason for match in found.values()} == {Reason.KNOWN_RENAME}


def test_scopes_may_be_there_on_one_side_only() -> None:
    leaves = [f"layer_{i}/{part}/kernel" for i in range(12) for part in ("query", "output")]
    a = {f"bert/encoder/{leaf}": values(4, 4) for leaf in leaves}
    b = {f"model/electra/encoder/{leaf}": values(4, 4) for leaf in leaves}
    matches = matched(a, b)
    assert len(matches) == len(leaves)
    for match in matches:
        assert match.key_a is not None
        assert match.key_b == "model/electra/" + match.key_a.removeprefix("bert/")
        assert match.reason is Reason.KNOWN_RENAME


def test_a_scope_that_pairs_tell_the_new_name_of_takes_its_constants_along() -> None:
    kernel = values(6, 6)
    zeros = np.zeros(6, np.float32)
    a = {"tower/first/kernel": kernel, "tower/first/bias": zeros, "tower/x/bias": zeros}
    b = {"left/second/kernel": kernel, "left/second/bias": zeros, "left/y/bias": zeros}
    found = by_a(matched(a, b))
    assert found["tower/first/kernel"].reason is Reason.CHECKSUM
    assert found["tower/first/bias"].key_b == "left/second/bias"


def test_numbers_of_layers_may_begin_elsewhere() -> None:
    a = {f"{name}/kernel": values(4, 4) for name in ("dense", "dense_1", "dense_2")}
    b = {f"{name}/kernel": values(4, 4) for name in ("dense_7", "dense_8", "dense_10")}
    found = by_a(matched(a, b, checksums=False))
    assert found["dense/kernel"].key_b == "dense_7/kernel"
    assert found["dense_1/kernel"].key_b == "dense_8/kernel"
    assert found["dense_2/kernel"].key_b == "dense_10/kernel"
    assert found["dense/kernel"].confidence < 0.8


def test_numbers_count_within_their_scopes() -> None:
    names = [("a", "d_3", "k"), ("a", "d_5", "k"), ("b", "d", "k"), ("b", "d_9", "k")]
    places = [name[1] for name in renumbered(names)]
    assert places == ["d_0", "d_1", "d_0", "d_1"]


def test_what_changed_its_shape_is_still_found_by_its_name() -> None:
    a = {"emb/embeddings": values(10, 4), "net/emb2/weights": values(10, 4)}
    b = {"emb/embeddings": values(12, 4), "net/emb2/kernel": values(11, 4)}
    found = by_a(matched(a, b))
    assert found["emb/embeddings"].reason is Reason.KEY
    assert found["net/emb2/weights"].key_b == "net/emb2/kernel"


def test_shape_and_order_match_what_looks_alike() -> None:
    a = {f"p{i}/u{i}": values(6, 4) for i in range(3)}
    b = {f"q{i}/v{i}": value + 0.01 * values(6, 4) for i, value in enumerate(a.values())}
    found = by_a(matched(a, b, checksums=False))
    for i in range(3):
        assert found[f"p{i}/u{i}"].key_b == f"q{i}/v{i}"
        assert found[f"p{i}/u{i}"].reason is Reason.SHAPE
        assert found[f"p{i}/u{i}"].confidence <= 0.5


def test_without_checksums_the_first_values_tell_in_any_order() -> None:
    contents = [values(6, 4) for _ in range(5)]
    a = {f"p{i}/u{i}": content for i, content in enumerate(contents)}
    b = {f"q{9 - i}/v{9 - i}": content for i, content in enumerate(contents)}
    b |= {"q0/v0": values(6, 4), "q1/v1": values(6, 4)}
    found = by_a(matched(a, b, checksums=False))
    for i in range(5):
        assert found[f"p{i}/u{i}"].key_b == f"q{9 - i}/v{9 - i}"
        assert found[f"p{i}/u{i}"].reason is Reason.SHAPE


def test_guesses_make_no_sure_matches() -> None:
    shapes = [(3, 8), (8, 8), (8, 8), (8, 2)]
    sides = []
    for scope in ("p", "q"):
        side = {f"{scope}{i}/u": values(*shape) for i, shape in enumerate(shapes)}
        side |= {f"{key}/Adam": values(*value.shape) for key, value in side.items()}
        sides.append(side)
    matches = matched(*sides)
    assert {match.reason for match in matches} == {Reason.SHAPE, Reason.SLOT_OWNER}
    assert all(match.confidence <= 0.25 for match in matches)


def test_names_without_a_scope_may_get_one() -> None:
    found = by_a(
        matched({"W": values(3), "b": values(2)}, {"net/W": values(3), "net/b": values(2)})
    )
    assert (found["W"].key_b, found["b"].key_b) == ("net/W", "net/b")
    assert found["W"].reason is Reason.KNOWN_RENAME


def test_another_variable_of_the_same_shape_is_added_and_not_changed() -> None:
    body = values(9, 9)
    a = {"body/kernel": body, "head/u": values(9, 4)}
    b = {"body/kernel": body, "top/v": values(9, 4)}
    assert pairs(matched(a, b)) == {
        ("body/kernel", "body/kernel"),
        ("head/u", None),
        (None, "top/v"),
    }


def test_a_model_renamed_and_trained_anew_throughout_is_matched_as_a_guess() -> None:
    shapes = [(3, 8), (8, 8), (8, 8), (8, 2)]
    a = {f"p{i}/u{i}": values(*shape) for i, shape in enumerate(shapes)}
    b = {f"q{i}/v{i}": values(*shape) for i, shape in enumerate(shapes)}
    found = by_a(matched(a, b))
    for i in range(4):
        assert found[f"p{i}/u{i}"].key_b == f"q{i}/v{i}"
        assert found[f"p{i}/u{i}"].confidence <= 0.3


def test_a_damaged_tensor_is_not_guessed_at() -> None:
    broken = DamagedFileError("torn")
    a = MemoryCheckpoint({"p/u": values(9)}, damaged={"p/u": broken})
    b = MemoryCheckpoint({"q/v": values(9)})
    assert {match.reason for match in match_variables(a, b)} == {None}


def test_repeats_of_a_saved_model_are_aliases() -> None:
    kernel, zeros = values(3, 3), np.zeros(3, np.float32)
    a = {"layers/d/vars/0": kernel, "layers/d/vars/1": zeros}
    names_a = {"layers/d/vars/0": {"name": "d/kernel"}, "layers/d/vars/1": {"name": "d/bias"}}
    b = {
        "variables/0": kernel,
        "variables/1": zeros,
        "_all_variables/0": zeros,
        "_all_variables/1": kernel,
    }
    names_b = {
        "variables/0": {"name": "d/kernel"},
        "variables/1": {"name": "d/bias"},
        "_all_variables/0": {"name": "_all_variables/d/bias"},
        "_all_variables/1": {"name": "_all_variables/d/kernel"},
    }
    found = by_a(matched(a, b, names_a, names_b))
    assert found["layers/d/vars/0"].aliases_b == ("_all_variables/1",)
    assert found["layers/d/vars/1"].aliases_b == ("_all_variables/0",)
    assert len(matched(b, a, names_b, names_a)) == 2


def test_a_copy_under_a_name_of_its_own_is_no_alias() -> None:
    kernel = values(3, 3)
    matches = matched({"q_net/kernel": kernel}, {"q_net/kernel": kernel, "target/kernel": kernel})
    assert pairs(matches) == {("q_net/kernel", "q_net/kernel"), (None, "target/kernel")}


def test_only_the_model_or_also_metadata_take_part_on_request() -> None:
    arrays = {"w/kernel": values(2, 2), "w/kernel/Adam": values(2, 2)}
    arrays["_CHECKPOINTABLE_OBJECT_GRAPH"] = np.array(b"graph", object)
    a = described(arrays, checksums=False)
    assert len(match_variables(a, a)) == 2
    assert len(match_variables(a, a, include_metadata=True)) == 3
    assert pairs(match_variables(a, a, model_only=True)) == {("w/kernel", "w/kernel")}


def test_nothing_is_matched_with_nothing() -> None:
    assert matched({}, {}) == ()
    assert pairs(matched({}, {"a": values(2)})) == {(None, "a")}


names = st.lists(
    st.text(alphabet="ab/_01", min_size=1, max_size=8), unique=True, min_size=0, max_size=12
)


@given(names, names, st.integers(0, 3))
def test_whatever_the_names_are_each_variable_comes_once(
    names_a: list[str], names_b: list[str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(2,), (3, 2), ()]
    sides = [
        {name: rng.integers(0, 2, shapes[rng.integers(3)]).astype(np.float32) for name in each}
        for each in (names_a, names_b)
    ]
    matched(*sides)


@given(st.binary(min_size=1, max_size=9), st.integers(0, 3000))
def test_the_checksum_of_a_repeated_pattern_is_that_of_the_text(pattern: bytes, count: int) -> None:
    assert crc_of_repeated(pattern, count) == crc32c(pattern * count)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_checksums_of_parts_combine(first: bytes, second: bytes) -> None:
    assert combined_crc(crc32c(first), crc32c(second), len(second)) == crc32c(first + second)


@given(st.lists(st.integers(1, 9), max_size=4).map(tuple), st.integers(1, 64))
def test_a_peek_is_small_and_contiguous(shape: tuple[int, ...], elements: int) -> None:
    count = int(np.prod(shape))
    whole = np.arange(count).reshape(shape)
    seen = whole[peek_region(shape, elements)].reshape(-1)
    assert 1 <= len(seen) <= elements
    np.testing.assert_array_equal(seen, np.arange(len(seen)))


def test_keys_of_lists_are_known() -> None:
    assert list_rank("variables/3/.ATTRIBUTES/VARIABLE_VALUE") == 1
    assert list_rank("optimizer/_trainable_variables/0") == 1
    assert list_rank("_all_variables/0/.ATTRIBUTES/VARIABLE_VALUE") == 2
    assert list_rank("model/variables/kernel") == 0
    assert list_rank("layers/dense/vars/0") == 0
