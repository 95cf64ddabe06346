"""Variable: one named entry of a checkpoint, without its values."""

from __future__ import annotations

from enum import StrEnum
from math import prod
from typing import NamedTuple


class Role(StrEnum):
    """What a variable is for. The first five are "the model"; all else is training's business."""

    WEIGHT = "weight"
    BIAS = "bias"
    NORMALIZATION = "normalization"
    MOVING_STATISTIC = "moving-statistic"
    MOVING_AVERAGE = "moving-average"
    OPTIMIZER_SLOT = "optimizer-slot"
    OPTIMIZER_STATE = "optimizer-state"
    COUNTER = "counter"
    ITERATOR = "iterator"
    RNG = "rng"
    METRIC = "metric"
    METADATA = "metadata"
    OTHER = "other"


MODEL_ROLES = frozenset(
    {Role.WEIGHT, Role.BIAS, Role.NORMALIZATION, Role.MOVING_STATISTIC, Role.MOVING_AVERAGE}
)


class Variable(NamedTuple):
    """One named entry of a checkpoint.

    A named tuple and not a frozen dataclass: a checkpoint has up to a million of them, and a tuple
    is made four times as fast.

    key: exactly as stored; unique within its checkpoint.
    name: for people; equal to the key where the file knows no better one. Not always unique.
    dtype: TensorFlow's name of the dtype ("float32", "bfloat16", "string").
    shape: the sizes of its axes; () for a scalar.
    stored_bytes: bytes its values take in the file (compressed, where the format compresses).
    role: what it is for.
    slot_of: key of the variable whose slot (or moving average) this is; None otherwise.
    slot_name: which slot ("m", "velocity", "Adam_1", "average"); empty where it is none.
    trainable: True or False where the file says so, None where it does not.
    object_path: path in the object graph ("model/layer-1/kernel"); empty where there is no graph.
    shard: number of the data file that holds it; -1 where the format has no shards or the variable
        is spread over several.
    """

    key: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    stored_bytes: int
    role: Role = Role.OTHER
    slot_of: str | None = None
    slot_name: str = ""
    trainable: bool | None = None
    object_path: str = ""
    shard: int = -1

    @property
    def element_count(self) -> int:
        """Number of elements: 1 for a scalar, 0 where an axis is empty."""
        return prod(self.shape)

    @property
    def in_model(self) -> bool:
        """Whether inference needs it: its role is one of the model's."""
        return self.role in MODEL_ROLES
