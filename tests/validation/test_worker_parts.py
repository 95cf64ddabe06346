"""Parts of the worker that need NumPy only: digests, forms of outputs, fitting data, spools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from ckptviewer.validation.worker import forms
from ckptviewer.validation.worker.agreeing import Agreement
from ckptviewer.validation.worker.classes import ClassCounts, Worst
from ckptviewer.validation.worker.digests import digest
from ckptviewer.validation.worker.feeding import Batch, fitted
from ckptviewer.validation.worker.file_values import Stored
from ckptviewer.validation.worker.forms import BINARY, CATEGORICAL, NUMBERS, SPARSE, Form, form_of
from ckptviewer.validation.worker.metrics import higher_is_better
from ckptviewer.validation.worker.model import Tensor, Variable
from ckptviewer.validation.worker.naming import pairs_by_name, parts_of
from ckptviewer.validation.worker.problems import DataProblem, MetricProblem
from ckptviewer.validation.worker.spool import Spool

RNG = np.random.default_rng(7)

# Digests


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=(30, 40)).astype(np.float32),
        RNG.gamma(2, size=3_000_000).astype(np.float32),
        RNG.normal(1e6, 1e-3, size=1000),
        RNG.normal(size=500).astype(ml_dtypes.bfloat16),
        RNG.integers(-5, 50, 1000),
        RNG.normal(size=100).astype(np.float16),
        np.array([True, False, True]),
    ],
    ids=["float32", "long", "far from zero", "bfloat16", "int64", "float16", "bool"],
)
def test_moments_are_those_of_scipy(values: Any) -> None:
    flat = values.reshape(-1).astype(np.float64)
    found = digest(values)
    assert found["count"] == flat.size
    assert found["mean"] == pytest.approx(flat.mean(), rel=1e-12)
    assert found["std"] == pytest.approx(flat.std(), rel=1e-9)
    assert found["skewness"] == pytest.approx(stats.skew(flat), rel=1e-5, abs=1e-9)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(flat), rel=1e-5, abs=1e-9)


def test_what_has_no_moments() -> None:
    constant = digest(np.full(5, 0.1, np.float32))
    assert (constant["std"], constant["skewness"]) == (0.0, None)
    broken = digest(np.float32([np.nan, np.inf, 1, 3]))
    assert (broken["nonfinite"], broken["mean"], broken["std"]) == (2, 2.0, 1.0)
    assert digest(np.float32([np.nan]))["mean"] is None
    for values in (np.zeros((0, 3)), np.zeros(2, complex), np.array([b"x"], object)):
        assert digest(values)["mean"] is None
    scalar = digest(np.float32(3))
    assert (scalar["count"], scalar["mean"]) == (1, 3.0)


def test_digests_tell_content_apart() -> None:
    values = RNG.normal(size=(3, 4)).astype(np.float32)
    assert digest(values)["digest"] == digest(np.asfortranarray(values))["digest"]
    other = values.copy()
    other[2, 3] = np.nextafter(other[2, 3], np.float32(9))
    assert digest(values)["digest"] != digest(other)["digest"]
    texts = [np.array(each, object) for each in ([b"ab", b"c"], [b"a", b"bc"])]
    assert digest(texts[0])["digest"] != digest(texts[1])["digest"]
    assert digest(np.float32([0.0]))["digest"] != digest(np.float32([-0.0]))["digest"]


# Forms

LOGITS = np.float32([[2, -1, 0.5], [0, 3, 1]])
LIKELY = np.float32([[0.7, 0.1, 0.2], [0.25, 0.5, 0.25]])


@pytest.mark.parametrize(
    ("truth", "output", "expected"),
    [
        (np.array([0, 1]), LOGITS, Form(SPARSE, 3, True)),
        (np.array([[0], [1]]), LIKELY, Form(SPARSE, 3, False)),
        (np.array([0.0, 2.0]), LIKELY, Form(SPARSE, 3, False)),
        (np.eye(3)[:2], LIKELY, Form(CATEGORICAL, 3, False)),
        (np.array([[1, 1, 0], [0, 0, 0]]), LIKELY, Form(BINARY, 2, False)),
        (np.array([0, 1]), np.float32([[0.2], [0.9]]), Form(BINARY, 2, False)),
        (np.array([0, 1]), np.float32([-3, 4]), Form(BINARY, 2, True)),
        (np.array([0.0, 1.0]), np.float32([-3, 4]), Form(NUMBERS, 0, False)),
        (np.array([0.5, 1.5]), np.float32([[0.4], [1.4]]), Form(NUMBERS, 0, False)),
        (LOGITS * 2, LOGITS, Form(NUMBERS, 0, False)),
        (np.zeros((2, 4), int), np.zeros((2, 4, 5)), Form(SPARSE, 5, True)),
    ],
    ids=[
        "classes and logits",
        "a column of classes",
        "classes as floats",
        "one-hot",
        "several labels",
        "probability of yes",
        "logit of yes",
        "numbers that happen to be 0 and 1",
        "numbers",
        "vectors",
        "a class at each step",
    ],
)
def test_what_an_output_means(truth: Any, output: Any, expected: Form) -> None:
    assert form_of(truth, output, None, "") == expected


def test_the_user_and_the_loss_know_better() -> None:
    assert form_of(np.array([0, 1]), LIKELY, True, "").logits
    truth, output = np.array([0.0, 1.0]), np.float32([[-3], [4]])
    assert form_of(truth, output, None, "binary_crossentropy") == Form(BINARY, 2, True)
    labels = np.eye(3)[:2]
    assert form_of(labels, LIKELY, None, "binary_crossentropy").kind == BINARY


@pytest.mark.parametrize(
    ("truth", "output", "said"),
    [
        (np.array([0, 3]), LIKELY, "class 3, and the output has the classes 0 to 2"),
        (np.array([-1, 0]), LIKELY, "class -1"),
        (np.zeros((2, 5)), LIKELY, "cannot be compared"),
    ],
)
def test_what_cannot_be_compared(truth: Any, output: Any, said: str) -> None:
    with pytest.raises(MetricProblem, match=said):
        form_of(truth, output, None, "")


def test_decisions_and_costs() -> None:
    form = Form(SPARSE, 3, True)
    truth = np.array([0, 2])
    likely = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = -np.log(likely[[0, 1], truth])
    np.testing.assert_allclose(forms.example_losses(truth, LOGITS, form), expected, rtol=1e-6)
    assert forms.decisions(LOGITS, form).tolist() == [0, 1]
    yes = Form(BINARY, 2, True)
    assert forms.decisions(np.float32([-1, 2]), yes).tolist() == [0, 1]
    costs = forms.example_losses(np.float32([1, 1]), np.float32([0, 0]), yes)
    np.testing.assert_allclose(costs, np.log(2))
    huge = forms.example_losses(np.array([1]), np.float32([[1e30, -1e30]]), Form(SPARSE, 2, True))
    assert np.isfinite(huge).all()


def test_labels_that_are_text() -> None:
    named = forms.labels_as_numbers(np.array([b"dog", b"cat"], object), ["cat", "dog"])
    assert named.tolist() == [1, 0]
    with pytest.raises(DataProblem, match="'cow'"):
        forms.labels_as_numbers(np.array(["cow"]), ["cat", "dog"])


def test_classes_of_yes_and_no_and_without_examples() -> None:
    counts = ClassCounts(Form(BINARY, 2, False), ["no", "yes"])
    counts.update(np.float32([0, 1, 1]), np.float32([0.1, 0.2, 0.9]))
    no, yes = counts.classes()
    assert (no["label"], no["count"], no["precision"], no["recall"]) == ("no", 1, 0.5, 1.0)
    assert (yes["recall"], yes["f1"]) == (0.5, pytest.approx(2 / 3))
    assert counts.confusion() == [[1, 0], [1, 1]]
    empty = ClassCounts(Form(SPARSE, 3, False), [])
    empty.update(np.array([0]), np.float32([[1, 0, 0]]))
    assert empty.classes()[2]["recall"] is None
    assert ClassCounts(Form(NUMBERS, 0, False), []).classes() == []
    assert ClassCounts(Form(SPARSE, 5000, False), []).confusion() == []


def test_the_worst_of_many_batches() -> None:
    form = Form(NUMBERS, 0, False)
    worst = Worst(3, form, [])
    outputs = RNG.normal(size=(10, 8, 1))
    for number, output in enumerate(outputs):
        worst.update(np.zeros_like(output), output, number * 8)
    expected = np.argsort(-(outputs.reshape(-1) ** 2))[:3]
    assert [each["index"] for each in worst.examples()] == expected.tolist()
    worst.update(np.zeros((1, 1)), np.full((1, 1), np.nan), 80)
    assert worst.examples()[0]["index"] == 80  # what is no number is worse than any


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("accuracy", True),
        ("AUC", True),
        ("F1Score", True),
        ("top_5_accuracy", True),
        ("loss", False),
        ("mse", False),
        ("MeanAbsoluteError", False),
        ("sparse_categorical_crossentropy", False),
        ("FalsePositives", False),
    ],
)
def test_which_way_is_better(name: str, higher: bool) -> None:
    assert higher_is_better(name) is higher


# Data


@pytest.mark.parametrize(
    ("values", "tensor", "said"),
    [
        (np.zeros((2, 3)), Tensor("x", "float32", (None, 4)), "float32 [?, 4]"),
        (np.zeros((2, 8, 8)), Tensor("x", "float32", (None, 8, 8, 1)), "size 1 is missing"),
        (np.zeros((2, 3)) + 0.5, Tensor("x", "int32", (None, 3)), "has fractions"),
        (np.zeros((2, 3)), Tensor("x", "string", (None, 3)), "takes strings"),
        (np.array([["a"]]), Tensor("x", "float32", (None, 1)), "is text"),
        (np.zeros((5, 3)), Tensor("x", "float32", (2, 3)), "takes 2 at a time"),
    ],
)
def test_what_does_not_fit_an_input(values: Any, tensor: Tensor, said: str) -> None:
    with pytest.raises(DataProblem) as raised:
        fitted(values, tensor, "k")
    assert said in f"{raised.value.message} {raised.value.remedy}"


def test_what_fits_an_input() -> None:
    whole = fitted(np.zeros((2, 3)), Tensor("x", "int32", (None, 3)), "k")
    assert whole.dtype == np.int32
    assert fitted(np.zeros((2, 3), int), Tensor("x", "float32", None), "k").dtype == np.float32
    assert fitted(np.zeros((1, 3)), Tensor("x", "float32", (2, 3)), "k").shape == (1, 3)
    strings = np.array([b"x"], object)
    assert fitted(strings, Tensor("x", "string", (None,)), "k") is strings
    assert fitted(strings, None, "k") is strings


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("dense/kernel:0", ("dense", "kernel")),
        ("model/conv/_kernel/.ATTRIBUTES/VARIABLE_VALUE", ("model", "conv", "kernel")),
        ("/a//b", ("a", "b")),
    ],
)
def test_parts_of_names(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name) == parts


class Values:
    """Keys, shapes and names of a checkpoint that is none."""

    def __init__(self, keys: dict[str, tuple[int, ...]], names: dict[str, str]) -> None:
        self.keys = {key: Stored("float32", shape) for key, shape in keys.items()}
        self.names = {key: names.get(key, key) for key in keys}

    def is_model_like(self, key: str) -> bool:
        return key != "save_counter"


def variable(name: str, shape: tuple[int, ...], **more: Any) -> Variable:
    return Variable(
        name=name,
        dtype="float32",
        shape=shape,
        trainable=True,
        trackable=None,
        get=lambda: None,
        put=lambda _: None,
        **more,
    )


def test_names_find_each_other_by_the_surest_rule_first() -> None:
    keys = {
        "dense/kernel": (2, 3),
        "net/conv/_kernel/.ATTRIBUTES/VARIABLE_VALUE": (3, 3),
        "layers/norm/vars/0": (3,),
        "old/alone": (7,),
        "a/bias": (2,),
        "b/bias": (2,),
        "optimizer/m": (9,),
        "save_counter": (),
        "whole": (6, 2),
    }
    values: Any = Values(keys, {"layers/norm/vars/0": "norm/gamma"})
    variables = [
        variable("dense/kernel", (2, 3)),
        variable("model/conv/kernel", (3, 3)),
        variable("norm/gamma", (3,)),
        variable("new", (7,)),
        variable("c/bias", (2,)),  # two could be meant
        variable("lost", (9,)),  # only a slot has its shape
        variable("counter", ()),
        variable("whole/part_0", (3, 2), stored_name="whole", stored_shape=(6, 2)),
        variable("whole/part_1", (3, 2), stored_name="whole", stored_shape=(6, 2)),
    ]
    for part in variables[-2:]:
        part.region = (slice(0, 3), slice(0, 2))
    found = {pair.variable.name: (pair.key, pair.rule) for pair in pairs_by_name(variables, values)}
    assert found == {
        "dense/kernel": ("dense/kernel", "the same name"),
        "model/conv/kernel": (
            "net/conv/_kernel/.ATTRIBUTES/VARIABLE_VALUE",
            "the end of its name, and its shape",
        ),
        "norm/gamma": ("layers/norm/vars/0", "the name that the checkpoint has for it"),
        "new": ("old/alone", "the only one of its shape"),
        "whole/part_0": ("whole", "the same name"),
        "whole/part_1": ("whole", "the same name"),
    }


# Runs held against one another


def test_spools_give_back_what_they_took(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), "a")
    batches = [
        {"x": RNG.normal(size=(3, 2)).astype(np.float32), "n": np.arange(3)},
        {"x": np.zeros((0, 2), ml_dtypes.bfloat16), "s": np.array([b"x"], object)},
    ]
    for batch in batches:
        spool.add(batch)
    for _ in range(2):
        first, second = list(spool)
        np.testing.assert_array_equal(first["x"], batches[0]["x"])
        assert first["n"].dtype == np.int64
        assert second["x"].shape == (0, 2)
        assert "s" not in second
    spool.close()
    assert list(tmp_path.iterdir()) == []


def compared(one: Any, other: Any, tmp_path: Path) -> dict[str, Any]:
    spool = Spool(str(tmp_path), "a")
    spool.add({"y": np.asarray(one)})
    agreement = Agreement(spool)
    agreement.update(Batch({}, None, 0), {"y": np.asarray(other)})
    (output,) = agreement.plain()
    spool.close()
    return output


def test_agreement_of_classes_and_of_numbers(tmp_path: Path) -> None:
    classes = compared([[1.0, 2], [3, 1]], [[1.0, 2.5], [1, 3]], tmp_path)
    assert (classes["argmax"], classes["agreement"], classes["differing"]) == (0.5, 0.5, [1])
    assert (classes["max_abs"], classes["mean_abs"]) == (2.0, pytest.approx(4.5 / 4))
    numbers = compared([[1.0], [2.0], [3.0]], [[1.0005], [2.0], [4.0]], tmp_path)
    assert (numbers["argmax"], numbers["agreement"]) == (None, pytest.approx(2 / 3))
    assert numbers["differing"] == [2]
    steps = compared(np.eye(3)[None, :, :], np.eye(3)[None, [0, 1, 1]], tmp_path)
    assert steps["argmax"] == pytest.approx(2 / 3)


def test_a_number_against_none_is_far_apart(tmp_path: Path) -> None:
    apart = compared([[np.nan], [1.0]], [[1.0], [1.0]], tmp_path)
    assert apart["agreement"] == 0.5
    assert apart["max_abs"] == np.inf
    assert apart["nonfinite"] == 0


def test_what_is_no_number_in_both_is_counted_and_is_no_agreement(tmp_path: Path) -> None:
    numbers = compared([[np.nan], [np.inf], [3.0]], [[np.nan], [-np.inf], [4.0]], tmp_path)
    assert (numbers["agreement"], numbers["differing"]) == (0.0, [0, 1, 2])
    assert (numbers["max_abs"], numbers["mean_abs"]) == (1.0, 1.0), "of what can be compared"
    assert (numbers["nonfinite"], numbers["nonfinite_examples"]) == (2, 2)
    assert numbers["nonfinite_at"] == [0, 1]
    rows = [[np.nan, 1, 2], [1, 2, 3], [5, -np.inf, 4], [-np.inf] * 3]
    classes = compared(rows, rows, tmp_path)
    assert classes["argmax"] == 0.5, "NaN decides nothing; a masked class does not matter"
    assert (classes["nonfinite"], classes["nonfinite_at"]) == (5, [0, 2, 3])
    assert classes["differing"] == [0, 3]


@pytest.mark.parametrize("shape", [(3, 1), (3, 4), (3,), (3, 2, 4)])
def test_where_nothing_is_a_number_nothing_is_compared(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    lost = np.full(shape, np.nan, np.float32)
    output = compared(lost, lost, tmp_path)
    assert (output["agreement"], output["argmax"]) == (None, None)
    assert (output["max_abs"], output["mean_abs"]) == (None, None)
    assert output["nonfinite"] == lost.size
    assert output["nonfinite_at"] == [0, 1, 2]


def test_many_places_are_not_all_listed(tmp_path: Path) -> None:
    lost = np.full((50, 1), np.inf)
    output = compared(lost, lost, tmp_path)
    assert output["nonfinite_examples"] == 50
    assert output["nonfinite_at"] == list(range(20))


def test_outputs_of_another_shape_do_not_agree(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), "a")
    agreement = Agreement(spool)
    for start, shape in ((0, (2, 3)), (2, (2, 4))):
        spool.add({"y": np.eye(2, 3)})
        agreement.update(Batch({}, None, start), {"y": np.eye(*shape)})
    (output,) = agreement.plain()
    spool.close()
    assert (output["examples"], output["agreement"], output["differing"]) == (4, 0.5, [2, 3])
