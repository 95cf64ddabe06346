"""Models of TensorFlow 1: a graph, and a session with its variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph_ends import MOST_OFFERED, ends_of, fed_tensors, inputs_for, needed_for, plain
from .libraries import tensorflow
from .model import (
    Arrays,
    Model,
    Signature,
    Tensor,
    Variable,
    choose_signature,
    dtype_name,
    tensor_of,
    unique,
)
from .problems import ModelProblem, first_line

_STATISTICS = (
    "/moving_mean",
    "/moving_variance",
)  # a training graph updates, and does not use them
_OP_REMEDY = (
    "Its operation is not part of TensorFlow 2 (tf.contrib was removed); a custom operation's "
    "library has to be loaded by a Python file that is named with the model."
)


class GraphModel(Model):
    """A graph of TensorFlow 1 in a session of its own. saver: restores its variables; or None."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        tf = tensorflow()
        self.kind = kind
        self.graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=self.graph)
        self.saver: Any = None

    def collect(self) -> None:
        """Find the variables, placeholders and collections of the graph that was imported."""
        tf = tensorflow()
        v1 = tf.compat.v1
        with self.graph.as_default():
            found = v1.global_variables()
            trainable = {id(each) for each in v1.trainable_variables()}
            names: set[str] = set()
            for raw in found:
                self.variables.append(self._variable(raw, id(raw) in trainable, names))
        self.placeholders = [plain(each) for each in fed_tensors(self.graph)[:MOST_OFFERED]]
        for key in self.graph.get_all_collection_keys():
            items = self.graph.get_collection(key)
            self.collections[str(key)] = [
                str(getattr(item, "name", "") or item)[:200] for item in items[:MOST_OFFERED]
            ]

    def _variable(self, raw: Any, trainable: bool, names: Any) -> Variable:
        shape = raw.shape
        return Variable(
            name=unique(raw.op.name, names),
            dtype=dtype_name(raw.dtype),
            shape=() if shape.rank is None else tuple(int(axis or 0) for axis in shape.as_list()),
            trainable=trainable,
            trackable=raw,
            get=lambda: self.session.run(raw),
            put=lambda value: self._assign(raw, value),
            **_part(raw),
        )

    def _assign(self, raw: Any, value: Any) -> None:
        # Feeding the initialiser adds nothing to the graph, and does for both kinds of variables.
        self.session.run(raw.initializer, {raw.initializer.inputs[1]: value})

    def initialize(self) -> None:
        """Give every variable its initial value, so that one can tell what a restore changed."""
        v1 = tensorflow().compat.v1
        with self.graph.as_default():
            try:
                self.session.run([each.trackable.initializer for each in self.variables])
                self.session.run(v1.tables_initializer())
            except tensorflow().errors.OpError as error:
                # Initial values may come from files that are gone, or from one another.
                self.notes.append(
                    {
                        "code": "not-initialized",
                        "severity": "info",
                        "message": "Some initial values of the graph could not be computed: "
                        + first_line(error),
                        "remedy": "",
                    }
                )
                self._zero_uninitialized()

    def _zero_uninitialized(self) -> None:
        for each in self.variables:
            try:
                each.get()
            except tensorflow().errors.OpError:
                empty = np.zeros(each.shape, tensorflow().as_dtype(each.dtype).as_numpy_dtype)
                each.put(empty)

    def predict(self, inputs: Arrays) -> Arrays:
        if not self.signature.outputs:
            raise ModelProblem(
                "the graph does not say what it predicts: nothing in it is computed from what can "
                "be fed",
                "Name the tensors, in a recipe or in the window: inputs such as x:0, and outputs "
                "such as logits:0.",
            )
        taken = {each.name: each.tensor for each in self.signature.inputs}
        feed = {taken[name]: values for name, values in inputs.items()}
        fetches = {each.name: each.tensor for each in self.signature.outputs}
        found = self.session.run(fetches, feed)
        # A loss has no axis of examples: it counts as one.
        result: Arrays = {name: np.atleast_1d(values) for name, values in found.items()}
        return result

    def leave_out_training(self) -> None:
        """Take the variables for the model's that its outputs need: not an optimizer's, or a step.

        All of them, where the outputs need none, or nobody knows the outputs.
        """
        needed = needed_for(self.graph, [each.tensor for each in self.signature.outputs])
        kept = [
            each
            for each in self.variables
            if each.trackable.op.name in needed or each.name.endswith(_STATISTICS)
        ]
        if kept:
            self.variables = kept

    def close(self) -> None:
        self.session.close()


def _part(raw: Any) -> dict[str, Any]:
    """Where a part of a partitioned variable belongs; nothing for a whole one."""
    info = getattr(raw, "_save_slice_info", None)
    if info is None:
        return {}
    return {
        "stored_name": info.full_name,
        "stored_shape": tuple(info.full_shape),
        "region": tuple(
            slice(start, start + size) for start, size in zip(info.var_offset, info.var_shape)
        ),
    }


def load_meta_graph(spec: dict[str, Any]) -> GraphModel:
    """The graph in a `.meta` file; inputs and outputs as asked, else as its signature says."""
    model = GraphModel("meta-graph")
    meta = read_meta(spec["path"])
    model.written_by = written_by(meta)
    # TensorFlow takes it apart, and stops at old ones ("0.12.head").
    meta.meta_info_def.ClearField("tensorflow_version")
    with model.graph.as_default():
        try:
            model.saver = tensorflow().compat.v1.train.import_meta_graph(meta, clear_devices=True)
        except Exception as error:
            raise cannot_import(error) from error
    model.collect()
    model.initialize()
    choose_tensors(model, meta, spec)
    model.leave_out_training()
    return model


def read_meta(path: str) -> Any:
    """The MetaGraphDef in a file, binary or text. Raises ModelProblem."""
    meta = tensorflow().compat.v1.MetaGraphDef()
    with open(path, "rb") as file:
        data = file.read()
    try:
        meta.ParseFromString(data)
        if meta.HasField("graph_def"):
            return meta
    except Exception:
        meta.Clear()
    from google.protobuf import text_format

    try:
        text_format.Parse(data.decode("utf-8"), meta)
    except Exception as error:
        raise ModelProblem(
            f"{path} is no graph of TensorFlow, or damaged",
            "Choose the .meta file that was saved with the checkpoint.",
        ) from error
    return meta


def written_by(meta: Any) -> str | None:
    """Which TensorFlow wrote a meta graph."""
    version = meta.meta_info_def.tensorflow_version
    return f"TensorFlow {version}" if version else None


def cannot_import(error: BaseException) -> ModelProblem:
    """A graph that this TensorFlow does not take."""
    text = first_line(error)
    remedy = _OP_REMEDY if "not registered" in text else ""
    return ModelProblem(f"TensorFlow cannot import the graph: {text}", remedy)


def choose_tensors(model: GraphModel, meta: Any, spec: dict[str, Any]) -> None:
    """Settle what the model takes and gives: the tensors asked for, a signature, or the graph's
    own ends.
    """
    model.signatures = signatures_of(model.graph, meta)
    ends = ends_of(model.graph)
    if ends.inputs and ends.outputs:
        model.signatures.append(ends)
    if spec["inputs"] or spec["outputs"]:
        outputs = tuple(_tensor(model, name) for name in spec["outputs"]) or ends.outputs
        inputs = tuple(_tensor(model, name) for name in spec["inputs"]) or inputs_for(
            model.graph, [each.tensor for each in outputs]
        )
        model.signature = Signature("", inputs, outputs)
        return
    offered = model.signatures
    if not spec["signature"] and len(offered) > 1:
        offered = [each for each in offered if each is not ends]
    model.signature = choose_signature(offered, spec["signature"])


def signatures_of(graph: Any, meta: Any) -> list[Signature]:
    """The signatures that a meta graph declares, but for those that only initialise."""
    found = []
    for name in sorted(meta.signature_def):
        declared = meta.signature_def[name]
        inputs = _declared(graph, declared.inputs)
        outputs = _declared(graph, declared.outputs)
        if outputs and not name.startswith("__saved_model"):
            found.append(Signature(name, inputs, outputs))
    return found


def _declared(graph: Any, declared: Any) -> tuple[Tensor, ...]:
    found = []
    for name in sorted(declared):
        try:
            tensor = graph.get_tensor_by_name(declared[name].name)
        except (KeyError, ValueError):
            continue
        found.append(tensor_of(name, tensor.dtype, tensor.shape, tensor.name))
    return tuple(found)


def _tensor(model: GraphModel, name: str) -> Tensor:
    try:
        tensor = model.graph.get_tensor_by_name(name if ":" in name else name + ":0")
    except (KeyError, ValueError) as error:
        names = ", ".join(each.tensor for each in model.placeholders[:10]) or "none"
        raise ModelProblem(
            f"the graph has no tensor {name!r}", f"What can be fed of it is {names}."
        ) from error
    return plain(tensor)
