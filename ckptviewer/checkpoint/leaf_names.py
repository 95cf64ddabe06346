"""The words that names of variables end in, and the roles that they tell.

Gathered from TensorFlow's layers and optimizers, Keras, Sonnet, tensor2tensor, BERT, T5, GPT-2,
tensorpack and PyTorch (whose names reach us by safetensors). Words are lower case, without leading
underscores and without the number that makes them unique (`bias_3`).
"""

from __future__ import annotations

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.variable import Role


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WEIGHTS = _words(
    """kernel weight weights w embedding embeddings embedding_table embedding_weights filter filters
    depthwise_weights pointwise_weights depthwise_kernel pointwise_kernel depthwise_filter
    recurrent_kernel position_embeddings word_embeddings token_type_embeddings relative_embeddings
    lookup_table projection alpha prelu logit_scale w_f_diag w_i_diag w_o_diag cls_token
    peephole_weights chain_kernel attention_vector"""
)
_BIASES = _words("bias biases b bias_weights offset_bias left_boundary right_boundary")
_NORMALIZATION = _words(
    "gamma beta layer_norm_scale layer_norm_bias layernorm_scale layernorm_bias"
)
_MOVING_STATISTICS = _words(
    """moving_mean moving_variance moving_var moving_stddev moving_std running_mean running_var
    running_variance pop_mean pop_var pop_variance population_mean population_variance
    renorm_mean renorm_stddev renorm_variance renorm_mean_weight renorm_stddev_weight
    moving_mean_of_squares adapt_mean adapt_variance mean variance moving_second_moment
    moving_max moving_min min_var max_var ema_cluster_size ema_dw ema_w"""
)
_METRICS = _words(
    """true_positives true_negatives false_positives false_negatives total_confusion_matrix
    total_cm confusion_matrix accumulator_tp accumulator_fp squared_sum residual num_samples
    weights_intermediate init_from_fn"""
)
_SMALL_METRICS = _words("total count total_loss accuracy")
_COUNTERS = _words(
    """global_step iterations iteration iter save_counter local_step num_batches_tracked
    train_step local_init_step"""
)
_INTEGER_COUNTERS = _words(
    "step steps epoch epochs counter num_updates n_updates count batch n_iter"
)
_INTEGER_COUNTER_ENDS = ("_step", "_steps", "_epoch", "_epochs", "_counter", "_iterations")
_OPTIMIZER_SCALARS = _words(
    """beta1_power beta2_power beta_1_power beta_2_power beta_1 beta_2 beta1 beta2 learning_rate lr
    current_learning_rate decay rho momentum epsilon weight_decay loss_scale current_loss_scale
    good_steps num_good_steps last_overflow_step dynamic_scale step_counter u_product
    momentum_cache m_schedule global_gradient_norm learning_rate_power initial_accumulator_value
    l1_regularization_strength l2_regularization_strength clip_norm"""
)
_RNG = _words(
    """rng rng_state statevar state_var seed_generator_state seed random_seed rng_key
    random_generator_state"""
)
_NORM_PARTS = _words("scale bias offset weight weights b g w gain shift")
_NORM_SHORT = _words("bn ln gn rms")

_DIGITS = "0123456789"


def is_normalization_scope(word: str) -> bool:
    """Whether a layer of this name normalises: `layer_norm`, `LayerNorm`, `bn1`, `ln_2`."""
    word = word.lower()
    if "norm" in word:
        return True
    start, _, end = word.rstrip("_" + _DIGITS).rpartition("_")
    return end in _NORM_SHORT or start.partition("_")[0] in _NORM_SHORT


def without_number(leaf: str) -> str:
    """`leaf` with `#` for the digits it ends in: what tells as much as it does.

    `weights_11` and `weights_12` give `weights_#`. Words in which the digits count (`beta_1` is a
    decay rate) stay as they are.
    """
    if not leaf[-1:].isdigit():
        return leaf
    stem = leaf.rstrip(_DIGITS)
    return leaf if stem.strip("_").lower() == "beta" else stem + "#"


def depends_on_layer(leaf: str) -> bool:
    """Whether the layer's name may turn what `leaf` says into normalization."""
    word = leaf.lstrip("_").lower()
    return word in _NORM_PARTS or word.rstrip(_DIGITS).rstrip("_") in _NORM_PARTS


def known_role(leaf: str, parent: str, dtype: str, rank: int) -> Role | None:
    """The role that `leaf`, last part of a name, is known to tell; None where it tells nothing.

    parent: the part of the name before it ("" if none); settles `bias` and `scale` of
    normalising layers.
    """
    word = leaf.removesuffix(":0").lstrip("_").lower()
    role = _role_of_word(word, parent, dtype, rank)
    if role is None and word and word[-1] in _DIGITS:  # kernel_11, w0
        role = _role_of_word(word.rstrip(_DIGITS).rstrip("_"), parent, dtype, rank)
    return role


def _role_of_word(word: str, parent: str, dtype: str, rank: int) -> Role | None:
    if rank == 0:
        role = _role_of_scalar(word, dtype)
        if role is not None:
            return role
    if word in _RNG or (word == "state" and "seed" in parent):
        return Role.RNG
    if word in _NORM_PARTS and is_normalization_scope(parent):
        return Role.NORMALIZATION
    if word in _WEIGHTS:
        return Role.WEIGHT
    if word in _BIASES:
        return Role.BIAS
    if word in _NORMALIZATION or ("norm" in word and word.endswith(("scale", "bias", "gain"))):
        return Role.NORMALIZATION
    if word in _MOVING_STATISTICS or (word == "ema" and parent in ("mean", "variance")):
        return Role.MOVING_STATISTIC
    if word in _METRICS or (word in _SMALL_METRICS and rank <= 1):
        return Role.METRIC
    if word == "biased" and "mov" in parent:  # zero-debiased average of a batch normalization
        return Role.MOVING_STATISTIC
    return _role_of_ending(word)


def _role_of_scalar(word: str, dtype: str) -> Role | None:
    if word in _OPTIMIZER_SCALARS:
        return Role.OPTIMIZER_STATE
    if word in _COUNTERS:
        return Role.COUNTER
    if word == "loss" or word.endswith("_loss"):
        return Role.METRIC
    if kind_of(dtype) is Kind.INTEGER and (
        word in _INTEGER_COUNTERS or word.endswith(_INTEGER_COUNTER_ENDS)
    ):
        return Role.COUNTER
    return None


def _role_of_ending(word: str) -> Role | None:
    if word.endswith(("_bias", "_biases")):
        return Role.BIAS
    if word.endswith(("_kernel", "_weight", "_weights", "_embedding", "_embeddings", "_matrix")):
        return Role.WEIGHT
    if word.startswith("bias_"):  # bias_ih, weight_hh_l0: recurrent layers of PyTorch
        return Role.BIAS
    if word.startswith("weight_"):
        return Role.WEIGHT
    if word.endswith(("_gamma", "_beta")):
        return Role.NORMALIZATION
    if word.endswith(("moving_mean", "moving_variance", "running_mean", "running_var")):
        return Role.MOVING_STATISTIC
    return None


def default_role(dtype: str) -> Role:
    """The role of a variable whose name tells nothing.

    Numbers with a fraction are taken for weights, whatever their rank: to carry an odd scalar
    along with a model does no harm, to leave a part of the model behind does. Integers, truth
    values and strings are "other"; what is opaque is the state of an iterator.
    """
    kind = kind_of(dtype)
    if kind in (Kind.FLOAT, Kind.COMPLEX):
        return Role.WEIGHT
    return Role.ITERATOR if dtype == "variant" else Role.OTHER
