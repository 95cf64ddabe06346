"""What Keras' layers call their variables: `layers/dense/vars/0` is `dense/kernel`.

Source: the build methods in keras/src/layers, by which variables are added in this order, and
`Layer.save_own_variables`, which numbers trainable ones first.
"""

from __future__ import annotations

from typing import Any

_KERNEL = ("kernel", "bias")
_RECURRENT = ("kernel", "recurrent_kernel", "bias")
_SCALED = ("gamma", "beta")
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")

_KERNEL_CLASSES = """dense einsum_dense conv1d conv2d conv3d conv1d_transpose conv2d_transpose
conv3d_transpose depthwise_conv1d depthwise_conv2d""".split()

_VARIABLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_KERNEL_CLASSES, _KERNEL),
    "separable_conv1d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "embedding": ("embeddings",),
    "batch_normalization": _BATCH_NORM,
    "layer_normalization": _SCALED,
    "group_normalization": _SCALED,
    "rms_normalization": ("scale",),
    "normalization": ("mean", "variance", "count"),
    "lstm_cell": _RECURRENT,
    "gru_cell": _RECURRENT,
    "simple_rnn_cell": _RECURRENT,
    "conv_lstm_cell": _RECURRENT,
    "p_re_lu": ("alpha",),
    "seed_generator": ("seed_generator_state",),
}
# Of how many variables a layer may have, and still be known without its configuration.
_OPTIONAL_TAIL = {
    **dict.fromkeys(_KERNEL_CLASSES, 1),
    "separable_conv1d": 2,
    "separable_conv2d": 2,
    "lstm_cell": 2,
    "gru_cell": 2,
    "simple_rnn_cell": 2,
    "conv_lstm_cell": 2,
    "normalization": 2,
}
_KERNELS = frozenset("kernel recurrent_kernel depthwise_kernel pointwise_kernel embeddings".split())
_ATTENTION = {
    "query_dense": 0,
    "key_dense": 1,
    "value_dense": 2,
    "output_dense": 3,
}
_CELLS = {
    "lstm": "lstm_cell",
    "gru": "gru_cell",
    "simple_rnn": "simple_rnn_cell",
    "conv_lstm1d": "conv_lstm_cell",
    "conv_lstm2d": "conv_lstm_cell",
    "conv_lstm3d": "conv_lstm_cell",
}
_FROZEN = frozenset("moving_mean moving_variance mean variance count seed_generator_state".split())


def is_known(class_name: str) -> bool:
    """Whether the variables of this class of layers are known here."""
    return class_name in _VARIABLES


def variables_of_class(class_name: str) -> tuple[str, ...]:
    """All that a layer of this class may call its own variables, in their order."""
    return _VARIABLES.get(class_name, ())


def known_class(word: str) -> str:
    """The class that an automatic name tells ("dense_3" is a "dense"); empty where none."""
    base, _, number = word.rpartition("_")
    candidate = base if number.isdigit() else word
    known = candidate in _VARIABLES or candidate in _CELLS or candidate in _COMPOSITES
    return candidate if known else ""


_COMPOSITES = frozenset(
    ("multi_head_attention", "group_query_attention", "bidirectional", "time_distributed")
)


def class_of_part(parent_class: str, attribute: str) -> str:
    """The class of a layer's sublayer, from its attribute's name; empty where it is not known."""
    if attribute == "cell":
        return _CELLS.get(parent_class, "")
    if attribute in _ATTENTION and parent_class.endswith("attention"):
        return "einsum_dense"
    if attribute == "seed_generator":
        return "seed_generator"
    return ""


def order_of_part(parent_class: str, attribute: str) -> int | None:
    """Where a sublayer stands among the others, as optimizers count; None where it is not known."""
    if attribute in _ATTENTION and parent_class.endswith("attention"):
        return _ATTENTION[attribute]
    if attribute == "cell" and parent_class in _CELLS:
        return 0
    if attribute in ("layer", "forward_layer"):
        return 0
    return 1 if attribute == "backward_layer" else None


def variable_names(
    class_name: str, shapes: list[tuple[int, ...]], config: dict[str, Any] | None
) -> tuple[str, ...]:
    """The names of a layer's variables 0, 1, ...; empty where they cannot be told for certain.

    There may be fewer names than variables: a quantised layer has further ones behind its own.
    shapes: of all its variables, in their order. config: the layer's, where there is one.
    """
    names = _VARIABLES.get(class_name, ())
    if config is not None:
        if config.get("use_bias") is False:
            names = tuple(name for name in names if name != "bias")
        if config.get("scale") is False and names in (_BATCH_NORM, _SCALED):
            names = names[1:]
        if config.get("center") is False:
            names = tuple(name for name in names if name != "beta")
    quantised = config is not None and len(shapes) > len(names)
    if len(names) != len(shapes) and not quantised:
        names = _names_by_count(class_name, names, len(shapes))
    fits = all(
        name not in _KERNELS or len(shape) >= 2 for name, shape in zip(names, shapes, strict=False)
    )
    return names if fits else ()


def _names_by_count(class_name: str, names: tuple[str, ...], count: int) -> tuple[str, ...]:
    if names == _BATCH_NORM and count == 2:
        return _BATCH_NORM[2:]
    if _OPTIONAL_TAIL.get(class_name, len(names)) <= count <= len(names):
        return names[:count]
    return ()


def never_trained(name: str) -> bool:
    """Whether a variable of this name in a known layer is one that no optimizer touches."""
    return name in _FROZEN


def is_builtin(class_name: str) -> bool:
    """Whether this is a class of layers that Keras itself brings, all of whose weights train."""
    return class_name in _VARIABLES or class_name in _CELLS or class_name in _COMPOSITES
