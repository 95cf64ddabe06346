"""The ends of a graph of TensorFlow 1: what can be fed to it, and what it predicts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .model import Signature, Tensor, tensor_of

MOST_OFFERED = 200
_SAVERS = ("save/", "save_", "saver_")
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
_PIPELINES = ("IteratorGetNext", "QueueDequeue", "ReaderRead")
"""What begins so is where a pipeline of input ends: its outputs can be fed in its stead."""

_NO_OUTPUT = {
    "Assert",
    "Const",
    "Exit",
    "Merge",
    "MergeSummary",
    "NoOp",
    "Placeholder",
    "PlaceholderWithDefault",
    "ReadVariableOp",
    "RestoreV2",
    "SaveV2",
    "Shape",
    "Size",
    "Switch",
    "VarHandleOp",
    "VarIsInitializedOp",
    "Variable",
    "VariableV2",
}
_LOSSES = ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits")
_CHANGES = ("Apply", "Assign", "ResourceApply", "ResourceScatter", "Scatter", "SparseApply")
"""What begins so changes variables: a training step, which must not run."""

_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
_ACTIVATIONS = ("Sigmoid", "Softmax")
_NAMED = ("output", "predict", "logit", "probabilit", "scores")
"""Words in the names of collections in which people keep what a graph predicts."""


def plain(tensor: Any) -> Tensor:
    """A tensor of a graph by its operation's name; further outputs of one bear their number."""
    name = tensor.op.name if tensor.value_index == 0 else tensor.name
    return tensor_of(name, tensor.dtype, tensor.shape, tensor.name)


def fed_tensors(graph: Any) -> list[Any]:
    """All that may be fed: placeholders, and what pipelines of tf.data and of queues give."""
    return [
        tensor
        for operation in graph.get_operations()
        if (
            operation.type in (*_PLACEHOLDERS, "PlaceholderWithDefault")
            or operation.type.startswith(_PIPELINES)
        )
        and not operation.name.startswith(_SAVERS)
        for tensor in operation.outputs
        if graph.is_feedable(tensor) and tensor.dtype.name not in ("resource", "variant")
    ]


def needed_for(graph: Any, tensors: Sequence[str], fed: Sequence[Any] = ()) -> set[str]:
    """Names of all operations that these tensors are computed from, their own included.

    What only has to happen before (a training step, by a control dependency) is no part of them.
    Nor is what `fed` tensors would be computed from.
    """
    given = {tensor.name for tensor in fed}
    queue = [graph.get_tensor_by_name(name).op for name in tensors if name not in given]
    needed = {operation.name for operation in queue}
    for operation in queue:
        for tensor in operation.inputs:
            if tensor.name not in given and tensor.op.name not in needed:
                needed.add(tensor.op.name)
                queue.append(tensor.op)
    return needed


def inputs_for(graph: Any, outputs: Sequence[str]) -> tuple[Tensor, ...]:
    """What has to be fed so that these tensors can be computed; no more than that."""
    fed = _must_be_fed(graph)
    needed = needed_for(graph, outputs, fed)
    used = {tensor.name for name in needed for tensor in graph.get_operation_by_name(name).inputs}
    used.update(outputs)
    return tuple(plain(each) for each in fed if each.name in used)


def _must_be_fed(graph: Any) -> list[Any]:
    return [each for each in fed_tensors(graph) if each.op.type != "PlaceholderWithDefault"]


def ends_of(graph: Any) -> Signature:
    """What the graph takes and gives by its shape: what is fed, and what nothing consumes.

    Where it tells what it predicts, what needs the truth besides is left out.
    """
    fed = _must_be_fed(graph)
    reached = _computed_from(graph, [each.name for each in fed])
    outputs = _scored(graph, reached) + _collected(graph, reached) + _of_heads(graph, reached)
    others: set[str] = set()
    if outputs:
        taken = {each.tensor for each in inputs_for(graph, [each.name for each in outputs])}
        others = _computed_from(graph, [each.name for each in fed if each.name not in taken])
    outputs += [
        tensor
        for operation in graph.get_operations()
        if operation.name in reached
        and operation.name not in others
        and operation.type not in _NO_OUTPUT
        and not operation.type.startswith(_CHANGES)
        and "Summary" not in operation.type
        and not _GRADIENTS.search(operation.name)
        and not operation.name.startswith(_SAVERS)
        and not any(tensor.consumers() for tensor in operation.outputs)
        for tensor in operation.outputs
        if tensor.dtype.name not in ("resource", "variant")
    ]
    outputs = list({each.name: each for each in outputs}.values())
    # A loss is no prediction; it is taken where there is nothing else.
    outputs = [each for each in outputs if each.shape.rank != 0] or outputs
    given = tuple(plain(each) for each in outputs[:MOST_OFFERED])
    return Signature("graph", inputs_for(graph, [each.tensor for each in given]), given)


def _computed_from(graph: Any, tensors: Sequence[str]) -> set[str]:
    """Names of the operations that are computed from one of these tensors."""
    given = set(tensors)
    reached: set[str] = set()
    for operation in graph.get_operations():
        if any(each.name in given or each.op.name in reached for each in operation.inputs):
            reached.add(operation.name)
    return reached


def _collected(graph: Any, reached: set[str]) -> list[Any]:
    """What the graph's own collections name as outputs."""
    found = []
    for key in graph.get_all_collection_keys():
        if any(word in str(key).lower() for word in _NAMED):
            for item in graph.get_collection(key):
                operation = getattr(item, "op", None)
                if hasattr(item, "consumers") and getattr(operation, "name", "") in reached:
                    found.append(item)
    return found


def _of_heads(graph: Any, reached: set[str]) -> list[Any]:
    """The probabilities of the heads of tf.estimator, which keep them in a scope of that name."""
    return [
        operation.outputs[0]
        for operation in graph.get_operations()
        if operation.type in _ACTIVATIONS
        and operation.name in reached
        and "/predictions/" in f"/{operation.name}"
    ]


def _scored(graph: Any, reached: set[str]) -> list[Any]:
    """The logits that a training graph's loss is computed from: what it predicts."""
    found: list[Any] = []
    for operation in graph.get_operations():
        if operation.type not in _LOSSES or operation.name not in reached:
            continue
        tensor = operation.inputs[0]
        while tensor.op.type in ("Reshape", "Identity") and tensor.op.inputs[0].shape.rank:
            if tensor.op.type == "Identity" and "Reshape" not in tensor.op.name:
                break  # somebody gave it a name
            tensor = tensor.op.inputs[0]
        if all(tensor is not each for each in found) and tensor.consumers():
            found.append(tensor)
    return found
