"""What the restore simulator tells, held against what TensorFlow then does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import builders  # TensorFlow, quietly

tf = pytest.importorskip("tensorflow")

from ckptviewer.analysis.restore import (  # noqa: E402
    RestoreReport,
    can_be_model,
    restore_of_nothing,
    simulate_restore,
)
from ckptviewer.analysis.restore_objects import read_objects, walk_together  # noqa: E402
from ckptviewer.analysis.restore_report import MismatchKind, Rule  # noqa: E402
from ckptviewer.checkpoint.errors import DamagedFileError  # noqa: E402
from ckptviewer.formats.resolve import open_checkpoint  # noqa: E402
from tests.analysis.memory_checkpoint import MemoryCheckpoint  # noqa: E402


class Net(tf.Module):
    """Two layers; what is given changes the second."""

    def __init__(
        self, outputs: int = 3, dtype: Any = tf.float32, extra: bool = False, inner: str = "body"
    ) -> None:
        super().__init__()
        body, head = tf.Module(), tf.Module()
        body.kernel = tf.Variable(tf.zeros((2, 4), dtype), name=f"{inner}/kernel")
        body.bias = tf.Variable(tf.zeros(4, dtype), name=f"{inner}/bias")
        head.kernel = tf.Variable(tf.zeros((4, outputs), dtype), name="head/kernel")
        head.bias = tf.Variable(tf.zeros(outputs, dtype), name="head/bias")
        setattr(self, inner, body)
        self.head = head
        if extra:
            self.extra = tf.Module()
            self.extra.kernel = tf.Variable(tf.zeros((4, 4), dtype), name="extra/kernel")

    @tf.function(input_signature=[tf.TensorSpec((None, 2))])
    def __call__(self, x: Any) -> Any:
        body = self.body if hasattr(self, "body") else self.trunk
        return x @ body.kernel @ self.head.kernel


def filled(net: tf.Module) -> tf.Module:
    """The module with a number of its own in each variable."""
    numbers = count(1)
    for variable in net.variables:
        variable.assign(tf.fill(variable.shape, tf.cast(next(numbers), variable.dtype)))
    return net


def simulate(checkpoint: Any, model: Any) -> RestoreReport:
    with open_checkpoint(checkpoint) as ours, open_checkpoint(model) as theirs:
        return simulate_restore(ours, theirs)


def changed(*parts: Any) -> set[str]:
    """Names of the variables that are no longer zero; of modules, or of layers as they load."""
    variables = [
        variable
        for part in parts
        for variable in (part.variables if hasattr(part, "variables") else (part.kernel, part.bias))
    ]
    return {
        variable.name.removesuffix(":0")
        for variable in variables
        if np.any(np.asarray(variable.numpy(), np.float32))
    }


def bound_names(report: RestoreReport) -> set[str]:
    return {each.target.name for each in report.bound if each.target.in_model}


def says(report: RestoreReport, call: str) -> bool:
    return next(each.passes for each in report.statements if each.call.startswith(call))


def outcome(action: Callable[[], Any]) -> bool:
    try:
        action()
    except AssertionError:
        return False
    return True


Builder = Callable[[], tf.Module]
CASES: dict[str, tuple[Builder, Builder, dict[str, str]]] = {
    "same": (Net, Net, {}),
    "more in the checkpoint": (lambda: Net(extra=True), Net, {}),
    "more in the program": (Net, lambda: Net(extra=True), {}),
    "another root": (Net, Net, {"program": "model"}),
    "another layer": (Net, lambda: Net(inner="trunk"), {}),
    "written": (Net, Net, {"save": "write"}),
    "written, more in the program": (Net, lambda: Net(extra=True), {"save": "write"}),
}


@pytest.mark.parametrize("case", CASES)
def test_of_objects_it_tells_what_tensorflow_does(case: str, tmp_path: Path) -> None:
    build, build_program, how = CASES[case]
    checkpoint = tf.train.Checkpoint(net=filled(build()))
    if how.get("save") == "write":
        prefix = checkpoint.write(str(tmp_path / "a"))
    else:
        prefix = checkpoint.save(str(tmp_path / "a"))
    name = how.get("program", "net")
    program = build_program()
    model = tf.train.Checkpoint(**{name: program}).save(str(tmp_path / "model"))

    report = simulate(prefix, model)

    restored = tf.train.Checkpoint(**{name: program})
    status = restored.restore(prefix)
    assert report.rule is Rule.EDGES
    assert report.certain
    assert not report.raises
    assert bound_names(report) == changed(program)
    assert {each.target.name for each in report.model_fresh} == {
        variable.name.removesuffix(":0") for variable in program.variables
    } - changed(program)
    for call in ("assert_existing_objects_matched", "assert_consumed"):
        assert says(report, call) == outcome(getattr(status, call)), call
    status.expect_partial()
    assert report.restores_model == (len(changed(program)) == len(program.variables))


def test_every_variable_of_either_side_is_told_once(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=filled(Net(5, extra=True))).save(str(tmp_path / "a"))
    model = tf.train.Checkpoint(net=Net(3)).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    ours = [each.key for each in (*report.bound, *report.mismatched, *report.unused)]
    theirs = [each.target.key for each in (*report.bound, *report.fresh, *report.mismatched)]
    graph = {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert sorted(ours) == sorted(set(builders.listed_in(Path(prefix))) - graph)
    assert sorted(theirs) == sorted(set(builders.listed_in(Path(model))) - graph)


@pytest.mark.parametrize(
    ("program", "kind", "error"),
    [
        (lambda: Net(5), MismatchKind.SHAPE, ValueError),
        (lambda: Net(dtype=tf.float16), MismatchKind.DTYPE, tf.errors.InvalidArgumentError),
    ],
)
def test_what_does_not_fit_makes_the_restore_raise(
    program: Builder, kind: MismatchKind, error: type[Exception], tmp_path: Path
) -> None:
    prefix = tf.train.Checkpoint(net=filled(Net())).save(str(tmp_path / "a"))
    net = program()
    model = tf.train.Checkpoint(net=net).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    assert {each.kind for each in report.mismatched} == {kind}
    assert report.raises.startswith(error.__name__)
    assert not report.restores_model
    with pytest.raises(error) as raised:
        tf.train.Checkpoint(net=net).restore(prefix)
    expected = "Received incompatible tensor with shape"
    if kind is MismatchKind.DTYPE:
        expected = "expected dtype half does not equal original dtype float"
        assert "expected dtype float16 does not equal original dtype float32" in report.raises
    else:
        assert expected in report.raises
    assert expected in str(raised.value)
    assert f"{kind}-mismatch" in {each.code for each in report.findings} or report.head


def test_only_the_head_mismatches_and_the_python_restores_the_rest(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=filled(Net(3))).save(str(tmp_path / "a"))
    fresh = Net(7)
    tf.saved_model.save(fresh, str(tmp_path / "model"))
    report = simulate(prefix, tmp_path / "model")
    assert report.head is not None
    assert report.head.layers == ("head",)
    assert "7 outputs in the model and 3 in the checkpoint" in report.head.why
    assert "only-head-differs" in {each.code for each in report.findings}
    names: dict[str, Any] = {}
    exec(report.partial, names)
    model = names["model"]
    assert changed(model.body, model.head) == {"body/kernel", "body/bias"}
    assert "head keeps its fresh values" in report.partial


def test_a_middle_layer_that_mismatches_is_no_head(tmp_path: Path) -> None:
    class Wide(Net):
        def __init__(self) -> None:
            super().__init__()
            self.body.kernel = tf.Variable(tf.zeros((2, 6)), name="body/kernel")
            self.body.bias = tf.Variable(tf.zeros(6), name="body/bias")
            self.head.kernel = tf.Variable(tf.zeros((6, 3)), name="head/kernel")

    prefix = tf.train.Checkpoint(net=filled(Net())).save(str(tmp_path / "a"))
    model = tf.train.Checkpoint(net=Wide()).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    assert len(report.mismatched) == 3
    assert report.head is None
    assert report.partial == ""


def test_a_saved_model_hangs_on_the_edge_that_the_checkpoint_has(tmp_path: Path) -> None:
    net = filled(Net())
    prefix = tf.train.Checkpoint(net=net, step=tf.Variable(3)).save(str(tmp_path / "a"))
    tf.saved_model.save(Net(), str(tmp_path / "model"))
    report = simulate(prefix, tmp_path / "model")
    assert report.call == f"tf.train.Checkpoint(net=model).restore({prefix!r})"
    assert report.restores_model
    assert [each.key for each in report.unused] == ["step/.ATTRIBUTES/VARIABLE_VALUE"]
    model = tf.saved_model.load(str(tmp_path / "model"))
    status = eval(report.call)
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(model.head.kernel, net.head.kernel)
    assert not outcome(status.assert_consumed)
    assert not says(report, "assert_consumed")


def test_a_saved_model_as_the_checkpoint(tmp_path: Path) -> None:
    net = filled(Net())
    tf.saved_model.save(net, str(tmp_path / "saved"))
    program = Net()
    prefix = tf.train.Checkpoint(net=program).save(str(tmp_path / "program"))
    report = simulate(tmp_path / "saved", prefix)
    assert report.call.startswith("tf.train.Checkpoint(program.net).restore(")
    assert report.restores_model
    status = tf.train.Checkpoint(program).restore(str(tmp_path / "saved"))
    assert changed(program) == bound_names(report)
    assert says(report, "assert_existing_objects_matched") == outcome(
        status.assert_existing_objects_matched
    )
    assert "no-save-counter" in {each.code for each in report.findings}


def save_names(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for number, (name, shape) in enumerate(shapes.items(), 1):
            tf.compat.v1.get_variable(
                name, initializer=tf.fill(shape, float(number)), use_resource=False
            )
        session.run(tf.compat.v1.global_variables_initializer())
        return str(tf.compat.v1.train.Saver().save(session, str(path)))


NAMES = {"body/kernel": (2, 4), "body/bias": (4,), "head/kernel": (4, 3), "head/bias": (3,)}


@pytest.mark.parametrize("extra", [False, True])
def test_a_savers_file_into_objects_goes_by_names(extra: bool, tmp_path: Path) -> None:
    prefix = save_names(tmp_path / "a", NAMES)
    model = tf.train.Checkpoint(Net(extra=extra)).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    net = Net(extra=extra)
    status = tf.train.Checkpoint(model=net).restore(prefix)
    assert report.rule is Rule.SAVER_NAME
    assert bound_names(report) == changed(net) == set(NAMES)
    for call in ("assert_existing_objects_matched", "assert_consumed"):
        assert says(report, call) is outcome(getattr(status, call)) is not extra


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_a_saver_wants_every_name(objects: bool, more: bool, tmp_path: Path) -> None:
    if objects:
        prefix = tf.train.Checkpoint(net=filled(Net())).save(str(tmp_path / "a"))
    else:
        prefix = save_names(tmp_path / "a", NAMES)
    shapes = NAMES | ({"extra/kernel": (4, 4)} if more else {})
    model = save_names(tmp_path / "model", shapes)
    report = simulate(prefix, model)
    assert "Saver().restore" in report.call
    assert bool(report.raises) is more
    assert len(report.bound) == 4
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, shape in shapes.items():
            tf.compat.v1.get_variable(name, shape)
        saver = tf.compat.v1.train.Saver()
        if more:
            with pytest.raises(tf.errors.NotFoundError):
                saver.restore(session, prefix)
            assert report.raises.startswith("NotFoundError")
            assert "extra/kernel" in report.raises
        else:
            saver.restore(session, prefix)


def test_a_restore_that_binds_nothing_is_told_so_though_tensorflow_is_silent(
    tmp_path: Path,
) -> None:
    prefix = tf.train.Checkpoint(net=filled(Net())).save(str(tmp_path / "a"))
    program = Net()
    model = tf.train.Checkpoint(model=program).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    tf.train.Checkpoint(model=program).restore(prefix).expect_partial()  # raises nothing
    assert not changed(program)
    assert not bound_names(report)
    assert not report.raises
    assert not report.restores_model
    assert report.findings[0].code == "nothing-binds"
    assert "restores nothing" in report.statements[0].message or report.bound


def test_latest_checkpoint_of_a_prefix_is_none(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=Net()).save(str(tmp_path / "a"))
    assert tf.train.latest_checkpoint(prefix) is None
    assert "is None" in restore_of_nothing(prefix)
    assert tf.train.latest_checkpoint(str(tmp_path)) == prefix
    assert restore_of_nothing(str(tmp_path)) == ""


def test_what_can_be_a_model(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=Net()).save(str(tmp_path / "a"))
    tf.saved_model.save(Net(), str(tmp_path / "model"))
    with open_checkpoint(prefix) as values, open_checkpoint(tmp_path / "model") as model:
        assert not can_be_model(values)
        assert can_be_model(model)


def test_real_saved_models_restore_into_themselves(corpus: Path) -> None:
    for name in ("basicpitch_sm", "srv_sm_v2_half_plus_two", "onx_regression_sm"):
        found = simulate(corpus / name, corpus / name)
        assert found.restores_model, name
        assert not found.model_fresh, name
        assert not found.mismatched, name
    regression = simulate(corpus / "onx_regression_ckpt", corpus / "onx_regression_sm")
    assert regression.rule is Rule.SAVER_NAME
    assert regression.restores_model


def test_the_rules_and_the_python_put_another_root_right(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(filled(Net())).save(str(tmp_path / "a"))
    tf.saved_model.save(filled(Net()), str(tmp_path / "unused"))
    model = tf.train.Checkpoint(net=Net()).save(str(tmp_path / "model"))
    report = simulate(prefix, model)
    assert not bound_names(report)
    assert [each.suggestion for each in report.model_fresh] != [""] * 4
    (rule,) = report.rename_rules
    assert rule.apply("head/bias/.ATTRIBUTES/VARIABLE_VALUE").startswith("net/head/bias/")
    program = tf.train.Checkpoint(net=Net())
    exec(report.fix.replace("# model =", "pass  #"), {"model": program})
    assert changed(program.net) == {"body/kernel", "body/bias", "head/kernel", "head/bias"}
    with open_checkpoint(prefix) as ours, open_checkpoint(model) as theirs:
        renamed = simulate_restore(ours, theirs, rules=report.rename_rules)
    assert renamed.restores_model
    assert renamed.rule is Rule.NAME_MAP


def test_a_dtype_that_differs_can_be_assigned_with_a_cast(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=filled(Net(dtype=tf.float16))).save(str(tmp_path / "a"))
    tf.saved_model.save(Net(), str(tmp_path / "model"))
    report = simulate(prefix, tmp_path / "model")
    assert len(report.mismatched) == 4
    assert report.head is None
    names: dict[str, Any] = {}
    exec(report.fix, names)
    assert changed(names["model"].body, names["model"].head) == set(NAMES)


def test_a_damaged_object_graph_is_one_error_and_nothing_else(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(net=Net()).save(str(tmp_path / "a"))
    stored = tf.train.load_checkpoint(prefix).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    sound = GraphAlone(stored)
    program = read_objects(sound)
    damaged = 0
    for position in range(len(stored)):
        graph = bytearray(stored)
        graph[position] ^= 0x55
        other = GraphAlone(bytes(graph))
        try:
            walk_together(other, sound, read_objects(other), program)
        except DamagedFileError:
            damaged += 1
    assert damaged > len(stored) // 10


class GraphAlone(MemoryCheckpoint):
    """A checkpoint of nothing but an object graph."""

    def __init__(self, graph: bytes) -> None:
        self.graph = np.empty((), object)
        self.graph[()] = graph
        super().__init__({"_CHECKPOINTABLE_OBJECT_GRAPH": self.graph})

    def read(self, variable: Any, region: Any = None) -> np.ndarray:
        return self.graph


def test_a_head_of_another_name_is_seen_where_the_old_one_is_left_over(tmp_path: Path) -> None:
    class Other(Net):
        def __init__(self, outputs: int, width: int = 4) -> None:
            super().__init__()
            del self.head
            self.fresh = tf.Module()
            self.fresh.kernel = tf.Variable(tf.zeros((width, outputs)), name="fresh/kernel")
            self.fresh.bias = tf.Variable(tf.zeros(outputs), name="fresh/bias")

    prefix = tf.train.Checkpoint(net=filled(Net(3))).save(str(tmp_path / "a"))

    def against(model: tf.Module, name: str) -> RestoreReport:
        return simulate(prefix, tf.train.Checkpoint(net=model).save(str(tmp_path / name)))

    report = against(Other(7), "another_head")
    assert report.head is not None
    assert report.head.layers == ("fresh",)
    assert "fresh keeps its fresh values" in report.partial
    assert against(Other(3), "renamed").head is None
    assert against(Other(7, width=5), "unlike").head is None
