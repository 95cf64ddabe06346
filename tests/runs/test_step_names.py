"""Steps and metrics that names tell, by themselves and among their neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.runs.step_names import facts_of_names


@pytest.mark.parametrize(
    ("name", "step", "metrics"),
    [
        ("model.ckpt-1000", 1000, {}),
        ("ckpt-3", 3, {}),
        ("cp-0004.ckpt", 4, {}),
        ("epoch_05.keras", 5, {}),
        ("weights.03-0.21.weights.h5", 3, {"metric": 0.21}),
        ("weights.03.0.21.h5", 3, {"metric": 0.21}),
        ("weights.03--0.21.h5", 3, {"metric": -0.21}),
        ("epoch=05-val_loss=0.21.keras", 5, {"val_loss": 0.21}),
        ("epoch_03-step_500.keras", 500, {}),
        ("m.epoch-1-loss-1e-05.h5", 1, {"loss": 1e-05}),
        ("weights-improvement-03-0.91.hdf5", 3, {"metric": 0.91}),
        ("step_100/model.ckpt", 100, {}),
        ("00000123", 123, {}),
        ("best_model.keras", None, {}),
        ("model.weights.h5", None, {}),
        ("resnet50.h5", None, {}),
        ("vgg_16.ckpt", None, {}),
        ("H-2-Kb_BA.h5", None, {}),
        ("model_v2.h5", None, {}),
        ("", None, {}),
        (f"ckpt-{'9' * 40}", None, {}),
    ],
)
def test_single_name(name: str, step: int | None, metrics: dict[str, float]) -> None:
    facts = facts_of_names([name])[name]
    assert (facts.step, dict(facts.metrics)) == (step, metrics)


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["resnet50-03.h5", "resnet50-04.h5"], [3, 4]),
        (["model_5.keras", "model_10.keras"], [5, 10]),
        (["vgg16_e1_b32.h5", "vgg16_e2_b32.h5"], [1, 2]),
        (["run7_1.h5", "run7_2.h5"], [1, 2]),
        (["20230101-120000", "20230101-130000"], [120000, 130000]),
        (["a/model.ckpt-1", "b/model.ckpt-1"], [1, 1]),
    ],
)
def test_neighbours_tell_which_number_is_the_step(names: list[str], steps: list[int]) -> None:
    facts = facts_of_names(names)
    assert [facts[name].step for name in names] == steps


def test_metrics_among_neighbours() -> None:
    names = ["e_0-acc_0.5.h5", "e_1-acc_0.5.h5", "e_2-acc_1.h5"]
    facts = facts_of_names(names)
    assert [dict(facts[name].metrics) for name in names] == [{"acc": 0.5}, {"acc": 0.5}, {"acc": 1}]
    assert [facts[name].step for name in names] == [0, 1, 2]


@given(st.lists(st.text(max_size=60), max_size=8, unique=True))
def test_no_name_is_too_odd(names: list[str]) -> None:
    facts = facts_of_names(names)
    assert set(facts) == set(names)
    for each in facts.values():
        assert each.step is None or each.step >= 0


def test_a_sign_in_a_name_is_taken_for_no_number() -> None:
    """Found by fuzzing: the two were taken for names that differ only in their numbers."""
    facts = facts_of_names(["ckpt-4-0", "ckpt-4-#", "ckpt-5-#"])
    assert [each.step for each in facts.values()] == [4, 4, 5]
