"""How optimizers name their slots in checkpoints whose keys are the names of variables.

TensorFlow 1 names a slot `<variable>/<optimizer>`, its second slot `<variable>/<optimizer>_1`, and
puts the variable scope of the moment before it all. Other code appends words of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPTIMIZERS = _words(
    """Adam AdamOptimizer AdamW AdamWOptimizer AdamWeightDecay AdamWeightDecayOptimizer LazyAdam
    LazyAdamOptimizer NAdam Nadam NadamOptimizer AdaMax AdaMaxOptimizer MultistepAdam
    MultistepAdamOptimizer TrueAdam Adafactor AdafactorOptimizer Adagrad AdagradOptimizer AdagradDA
    Adadelta AdadeltaOptimizer Ftrl FtrlOptimizer Momentum MomentumOptimizer MomentumW
    LARSOptimizer LARS LAMB LAMBOptimizer Lamb RMSProp RMSPropOptimizer RMSprop ProximalAdagrad
    AddSign PowerSign YellowFin GGT Shampoo ShampooOptimizer Yogi Novograd RAdam Lookahead
    SGDW SM3 AMSGrad NovoGrad Lion"""
)
_WORDS = _words(
    """adam_m adam_v lamb_m lamb_v lars_momentum adam_m_1 adam_v_1 slot_m slot_v slot_vr slot_vc
    accum_grad grad_acc grad_accum accum_var"""
)
_SHORT_WORDS = _words(
    """m v vhat vr vc r c u rms mg momentum momentums accumulator linear velocity norm
    gradient_accumulator accumulated_delta_var average_gradient accumulated_grad delta_accumulator
    accumulate_grad velocity_hat average"""
)
_AVERAGES = _words(
    """ExponentialMovingAverage MovingAverage moving_average ema EMA average avg averages
    shadow"""
)
_SLOT_MARK = "_slot_"  # mesh_tensorflow: `.../kernel_slot_vr`
_UNNUMBERED = frozenset(("t", "part"))


def without_number(leaf: str) -> str:
    """`leaf` without a trailing `_1`: the slot's family, `Adam` for `Adam_1`."""
    head, _, tail = leaf.rpartition("_")
    return head if head and tail.isdecimal() else leaf


def is_slot_word(leaf: str) -> bool:
    """Whether nothing but a slot ends in `leaf`: `Adam`, `Ftrl_1`, `adam_m`."""
    return without_number(leaf) in _OPTIMIZERS or leaf in _WORDS


def may_be_slot_word(leaf: str) -> bool:
    """Whether optimizers use `leaf` for slots, as layers may do for variables: `m`, `velocity`."""
    return leaf in _SHORT_WORDS


def is_average_word(leaf: str) -> bool:
    """Whether `leaf` is what moving averages of variables are called."""
    return without_number(leaf) in _AVERAGES


def is_average_for_sure(leaf: str) -> bool:
    """Whether nothing but a moving average ends in `leaf`, owner at hand or not."""
    return without_number(leaf) == "ExponentialMovingAverage"


def is_average_scope(word: str) -> bool:
    """Whether a copy of the model under this name holds moving averages: `ema`, `model_ema`."""
    word = word.strip("_")
    if word in ("ExponentialMovingAverage", "exponential_moving_average", "averaged_model"):
        return True
    return "ema" in word.lower().split("_") or word in ("emaModel", "EMAModel", "modelEMA")


def split_marked_slot(leaf: str) -> tuple[str, str] | None:
    """Owner's last part and slot of `kernel_slot_vr`; None where there is no such mark."""
    owner, mark, slot = leaf.rpartition(_SLOT_MARK)
    return (owner, slot) if mark and owner and slot else None


def owner_among(keys: Collection[str], path: str) -> str | None:
    """The key of `keys` whose slot may lie under `path`; None where none fits.

    `path` is the slot's name without its last part. It is the owner's own name, or that name with
    scopes before it (`training/Adam/<variable>`), with a part's number after it
    (`<variable>/t_0`), or both.
    """
    if path in keys:
        return path
    head, _, last = path.rpartition("/")
    ends = (path, head) if head and without_number(last) in _UNNUMBERED else (path,)
    for end in ends:
        for candidate in _without_scopes(end):
            if candidate in keys:
                return candidate
    return None


_MAX_SCOPES = 64


def _without_scopes(path: str) -> Iterator[str]:
    yield path
    for _ in range(_MAX_SCOPES):
        _, slash, path = path.partition("/")
        if not slash:
            return
        yield path
