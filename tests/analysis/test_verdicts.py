"""Verdicts, calibrated on models that Keras trained; groups; the restoration check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis.restoration import check_restoration
from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.analysis.verdicts import (
    DeltaFacts,
    Judgement,
    Verdict,
    judge,
    judge_all,
    judge_group,
)
from ckptviewer.checkpoint.errors import InvalidSettingError
from ckptviewer.checkpoint.roles import role_of_leaf
from ckptviewer.checkpoint.variable import Role
from tests.formats.keras_files import imported, quiet

Weights = dict[str, np.ndarray]


def facts_of(key: str, a: np.ndarray | None, b: np.ndarray | None, **more: Any) -> DeltaFacts:
    """What NumPy tells of two arrays, in float64."""
    array = b if b is not None else a
    assert array is not None
    known: dict[str, Any] = {
        "key_a": None if a is None else key,
        "key_b": None if b is None else key,
        "name": key,
        "role": role_of_leaf(key, "float32", array.shape),
        "shape": array.shape,
        "element_count": array.size,
        "comparable": a is not None and b is not None and a.shape == b.shape,
    }
    if known["comparable"]:
        x, y = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
        norm_a, norm_b = float(np.linalg.norm(x)), float(np.linalg.norm(y))
        known |= {
            "equal_by_values": bool(np.array_equal(x, y)),
            "relative_l2": float(np.linalg.norm(y - x)) / norm_a if norm_a else None,
            "cosine": float(x @ y) / (norm_a * norm_b) if norm_a and norm_b else None,
            "max_abs": float(np.abs(y - x).max()),
            "mean_difference": float(y.mean() - x.mean()),
            "std_difference": float(y.std() - x.std()),
            "std_a": float(x.std()),
            "std_b": float(y.std()),
            "mean_b": float(y.mean()),
            "norm_a": norm_a,
            "norm_b": norm_b,
        }
    return DeltaFacts(**(known | more))


def facts_between(a: Weights, b: Weights) -> list[DeltaFacts]:
    return [facts_of(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b])]


def verdicts(a: Weights, b: Weights, **thresholds: float) -> dict[str, Verdict]:
    facts = facts_between(a, b)
    judged = judge_all(facts, Thresholds(**thresholds))
    assert None not in judged
    return {
        each.key: judgement.verdict
        for each, judgement in zip(facts, judged, strict=True)
        if judgement is not None
    }


@pytest.fixture(scope="session")
@quiet()
def trained() -> dict[str, Weights]:
    """A small classifier: fresh, trained, then fine-tuned, with a frozen base, with a new head."""
    keras = imported("keras")
    keras.backend.clear_session()
    keras.utils.set_random_seed(11)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 16)).astype(np.float32)
    centres = rng.normal(size=(16, 4))
    y = (x @ centres).argmax(1)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(32, "relu", name="base"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(32, "relu", name="middle"),
            keras.layers.Dense(4, name="head"),
        ]
    )

    def state() -> Weights:
        return {
            each.path.removeprefix(f"{model.name}/"): np.array(each.numpy())
            for each in model.weights
        }

    def fit(rate: float, epochs: int, labels: np.ndarray) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
        model.fit(x, labels, batch_size=64, epochs=epochs, verbose=0)

    found = {"fresh": state()}
    fit(0.01, 12, y)
    found["trained"] = state()
    keep = model.get_weights()
    fit(1e-4, 2, y)
    found["fine-tuned"] = state()
    model.set_weights(keep)
    for name in ("base", "norm"):
        model.get_layer(name).trainable = False
    fit(1e-3, 2, (y + 1) % 4)
    found["frozen base"] = state()
    model.set_weights(keep)
    found["new middle"] = state()
    middle = keras.layers.Dense(32, name="middle")
    middle.build((None, 32))
    for part in ("kernel", "bias"):
        found["new middle"][f"middle/{part}"] = np.array(getattr(middle, part).numpy())
    return found


def test_fine_tuned(trained: dict[str, Weights]) -> None:
    found = verdicts(trained["trained"], trained["fine-tuned"])
    assert set(found.values()) == {Verdict.FINE_TUNED}


def test_a_frozen_base(trained: dict[str, Weights]) -> None:
    found = verdicts(trained["trained"], trained["frozen base"])
    for key, verdict in found.items():
        frozen = key.startswith(("base/", "norm/"))
        assert (verdict is Verdict.FROZEN) is frozen, key
        assert frozen or verdict in (Verdict.FINE_TUNED, Verdict.RETRAINED), key


def test_a_layer_that_was_initialised_again(trained: dict[str, Weights]) -> None:
    found = verdicts(trained["trained"], trained["new middle"])
    for key, verdict in found.items():
        wanted = Verdict.RE_INITIALISED if key.startswith("middle/") else Verdict.FROZEN
        assert verdict is wanted, key


def test_training_from_the_start_is_no_fine_tuning(trained: dict[str, Weights]) -> None:
    found = verdicts(trained["fresh"], trained["trained"])
    assert found["norm/moving_mean"] is Verdict.RETRAINED  # it was all zeros
    facts = facts_between(trained["fresh"], trained["trained"])
    group = judge_group(facts, judge_all(facts))
    assert group is not None
    assert group.verdict not in (Verdict.EQUAL, Verdict.FROZEN, Verdict.RE_INITIALISED)


@pytest.mark.parametrize("name", ["glorot_uniform", "glorot_normal", "he_normal", "lecun_uniform"])
@pytest.mark.parametrize("shape", [(64, 64), (3, 3, 16, 32)])
def test_common_initializers_are_recognised(name: str, shape: tuple[int, ...]) -> None:
    keras = imported("keras")
    with quiet():
        fresh = np.array(getattr(keras.initializers, name)(seed=4)(shape))
    old = np.random.default_rng(2).normal(0.02, 0.2, shape).astype(np.float32)
    found = judge(facts_of("x/kernel", old, fresh))
    assert found is not None
    assert found.verdict is Verdict.RE_INITIALISED
    assert "initializer" in found.why


def test_other_weights_of_no_initializer_are_retrained() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(0, 0.3, (64, 64)), rng.normal(0, 0.37, (64, 64))
    found = judge(facts_of("x/kernel", old, new))
    assert found is not None
    assert found.verdict is Verdict.RETRAINED


def test_equal_is_said_by_what_it_is_known_by() -> None:
    base = {"key_a": "k", "key_b": "k", "role": Role.WEIGHT}
    for flags, verdict in (
        ({"equal_by_checksum": True}, Verdict.EQUAL_BY_CHECKSUM),
        ({"equal_by_values": True, "equal_by_checksum": True}, Verdict.EQUAL),
        ({"within_tolerance": True, "max_abs": 1e-7}, Verdict.WITHIN_TOLERANCE),
        ({"comparable": False}, Verdict.INCOMPARABLE),
        ({"key_a": None}, Verdict.ADDED),
        ({"key_b": None}, Verdict.REMOVED),
    ):
        found = judge(DeltaFacts(**(base | flags)))
        assert found is not None
        assert found.verdict is verdict
    assert judge(DeltaFacts(**base)) is None  # nothing is known yet


def test_thresholds_decide() -> None:
    rng = np.random.default_rng(1)
    old = rng.normal(size=(20, 20))
    facts = facts_of("x/kernel", old, old + 0.3 * rng.normal(size=(20, 20)))
    for limit, verdict in ((0.5, Verdict.FINE_TUNED), (0.2, Verdict.RETRAINED)):
        found = judge(facts, Thresholds(fine_tuned_relative_l2=limit))
        assert found is not None
        assert found.verdict is verdict


def test_a_bias_that_stayed_zero_beside_a_kernel_that_moved_is_equal() -> None:
    old = {"a/kernel": np.ones((3, 3)), "a/bias": np.zeros(3), "b/kernel": np.ones(3)}
    new = old | {"a/kernel": np.full((3, 3), 1.1)}
    assert verdicts(old, new) == {
        "a/kernel": Verdict.FINE_TUNED,
        "a/bias": Verdict.EQUAL,
        "b/kernel": Verdict.FROZEN,
    }


def test_nothing_is_frozen_where_nothing_moved() -> None:
    old = {"a/kernel": np.ones(3), "b/kernel": np.ones(3)}
    assert set(verdicts(old, old).values()) == {Verdict.EQUAL}
    # The optimizer's state alone does not make the model frozen.
    facts = [
        facts_of("a/kernel", np.ones(3), np.ones(3)),
        facts_of("m", np.ones(3), np.full(3, 1.1), role=Role.OPTIMIZER_SLOT),
    ]
    first = judge_all(facts)[0]
    assert first is not None
    assert first.verdict is Verdict.EQUAL


def test_groups_sum_up_without_hiding_a_change() -> None:
    def group(*verdicts: Verdict, sizes: tuple[int, ...] = ()) -> Verdict:
        facts = [
            DeltaFacts(
                key_a="k", key_b="k", role=Role.WEIGHT, element_count=sizes[i] if sizes else 10
            )
            for i in range(len(verdicts))
        ]
        found = judge_group(facts, [Judgement(verdict=each, why="") for each in verdicts])
        assert found is not None
        return found.verdict

    equal, tuned, frozen = Verdict.EQUAL, Verdict.FINE_TUNED, Verdict.FROZEN
    assert group(equal, equal) is equal
    assert group(equal, Verdict.EQUAL_BY_CHECKSUM) is Verdict.EQUAL_BY_CHECKSUM
    assert group(equal, Verdict.EQUAL_BY_CHECKSUM, Verdict.WITHIN_TOLERANCE) is (
        Verdict.WITHIN_TOLERANCE
    )
    assert group(tuned, equal, sizes=(990, 10)) is tuned
    assert group(tuned, equal, sizes=(10, 990)) is Verdict.MIXED
    assert group(frozen, tuned) is Verdict.MIXED
    assert group(frozen, frozen) is frozen
    assert group(tuned, Verdict.ADDED, sizes=(10, 990)) is Verdict.MIXED
    assert group(Verdict.ADDED, Verdict.ADDED) is Verdict.ADDED


def test_a_group_is_not_judged_before_all_of_it_is_known() -> None:
    facts = [DeltaFacts(key_a="k", key_b="k", role=Role.WEIGHT)]
    assert judge_group(facts, [None]) is None
    assert judge_group([], []) is None


def test_the_optimizer_does_not_speak_for_the_model() -> None:
    facts = [
        DeltaFacts(key_a="k", key_b="k", role=role, element_count=9)
        for role in (Role.WEIGHT, Role.OPTIMIZER_SLOT)
    ]
    judged = [Judgement(verdict=each, why="") for each in (Verdict.EQUAL, Verdict.RETRAINED)]
    found = judge_group(facts, judged)
    assert found is not None
    assert found.verdict is Verdict.EQUAL


# The restoration check


def test_equal_models_pass_the_restoration_check(trained: dict[str, Weights]) -> None:
    facts = facts_between(trained["trained"], trained["trained"])
    check = check_restoration(facts)
    assert check.passed
    assert check.checked == 10
    assert "10" in check.summary


def test_each_variable_that_does_not_pass_is_named(trained: dict[str, Weights]) -> None:
    other = dict(trained["trained"])
    other["norm/moving_mean"] = other["norm/moving_mean"] + np.float32(2e-5)
    other["head/kernel"] = other["head/kernel"] * np.float32(1.01)
    check = check_restoration(facts_between(trained["trained"], other))
    assert not check.passed
    by_key = {failure.key: failure for failure in check.failures}
    assert set(by_key) == {"norm/moving_mean", "head/kernel"}
    assert by_key["norm/moving_mean"].mean_difference == pytest.approx(2e-5, rel=0.01)
    assert "mean" in by_key["norm/moving_mean"].why
    assert "deviation" in by_key["head/kernel"].why


def test_a_check_of_nothing_never_passes() -> None:
    assert not check_restoration([]).passed
    slot = facts_of("m", np.ones(3), np.ones(3), role=Role.OPTIMIZER_SLOT)
    check = check_restoration([slot])
    assert check.checked == 0
    assert not check.passed
    assert "never passes" in check.summary


@pytest.mark.parametrize(
    "bad",
    [
        facts_of("a/kernel", np.ones(3), None),
        facts_of("a/kernel", None, np.ones(3)),
        facts_of("a/kernel", np.ones(3), np.ones(4)),
        DeltaFacts(key_a="k", key_b="k", role=Role.WEIGHT),
        facts_of("a/kernel", np.arange(3), np.arange(3), equal_by_values=False, nan_difference=1),
        facts_of("a/kernel", np.arange(3), np.arange(3) + 1.0, mean_difference=float("nan")),
    ],
)
def test_missing_mismatched_and_unknown_variables_fail_the_check(bad: DeltaFacts) -> None:
    good = facts_of("b/kernel", np.ones(3), np.ones(3))
    check = check_restoration([good, bad])
    assert not check.passed
    assert [failure.key for failure in check.failures] == [bad.key]
    assert check.failures[0].why


@pytest.mark.parametrize(("shift", "passes"), [(0.9e-5, True), (1.1e-5, False)])
def test_the_limit_of_the_check(shift: float, passes: bool) -> None:
    a = np.linspace(-1, 1, 11)
    assert check_restoration([facts_of("a/kernel", a, a + shift)]).passed is passes
    looser = Thresholds(restoration_mean=1e-3, restoration_std=1e-3)
    assert check_restoration([facts_of("a/kernel", a, a + shift)], looser).passed


# Thresholds


def test_thresholds_are_saved_and_read_again() -> None:
    chosen = Thresholds(fine_tuned_relative_l2=0.25, group_share=0.5)
    assert Thresholds.from_json(chosen.to_json()) == chosen
    assert Thresholds.from_json({}) == Thresholds()


@pytest.mark.parametrize(
    "document",
    [
        [],
        None,
        {"nothing": 1},
        {"group_share": 2},
        {"group_share": "1"},
        {"group_share": True},
        {"group_share": float("nan")},
        {"restoration_mean": -1},
        {"restoration_mean": 10**400},
        {1: 2},
    ],
)
def test_thresholds_that_cannot_be_are_refused(document: object) -> None:
    with pytest.raises(InvalidSettingError):
        Thresholds.from_json(document)


@given(
    st.lists(
        st.builds(
            DeltaFacts,
            key_a=st.sampled_from([None, "a/k"]),
            key_b=st.sampled_from(["a/k", "b/k"]),
            role=st.sampled_from(list(Role)),
            shape=st.sampled_from([(), (3,), (70, 2), (0, 4), (3, 0, 2, 2)]),
            element_count=st.integers(0, 200),
            comparable=st.booleans(),
            equal_by_values=st.booleans(),
            relative_l2=st.none() | st.floats(0),
            cosine=st.none() | st.floats(-1, 1),
            std_a=st.none() | st.floats(0),
            std_b=st.none() | st.floats(0),
            mean_b=st.none() | st.floats(),
            norm_a=st.none() | st.floats(0, 1e300),
            norm_b=st.none() | st.floats(0, 1e300),
        ),
        max_size=4,
    )
)
def test_any_figures_get_a_verdict_or_none(facts: list[DeltaFacts]) -> None:
    judged = judge_all(facts)
    assert len(judged) == len(facts)
    judge_group(facts, judged)
    check = check_restoration(facts)
    assert check.passed is (check.checked > 0 and not check.failures)
