"""A checkpoint's values by their keys, read by TensorFlow from a bundle or a V1 table."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, NamedTuple

import numpy as np

from .libraries import tensorflow
from .problems import RestoreProblem, first_line

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"


class Stored(NamedTuple):
    """What a checkpoint tells of a key without its values."""

    dtype: str
    shape: tuple[int, ...]


def _spelt(prefix: str) -> str:
    """A checkpoint as TensorFlow takes it: V1 shards go by a pattern."""
    if os.path.exists(prefix) or os.path.exists(prefix + ".index"):
        return prefix
    shards = glob.glob(glob.escape(prefix) + "-[0-9]*-of-[0-9]*")
    counts = {match[1] for each in shards if (match := re.search(r"-of-(\d+)$", each))}
    return f"{prefix}-?????-of-{counts.pop()}" if len(counts) == 1 else prefix


class FileValues:
    """The keys and values of one checkpoint."""

    def __init__(self, prefix: str, labels: dict[str, str] | None = None) -> None:
        """labels: names for people, by key. Raises RestoreProblem."""
        self.prefix = prefix = _spelt(prefix)
        try:
            self._reader = tensorflow().train.load_checkpoint(prefix)
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
        except Exception as error:
            raise RestoreProblem(
                f"TensorFlow cannot open the checkpoint {prefix}: {first_line(error)}",
                "Check the file with `ckptviewer doctor`.",
            ) from error
        self.keys: dict[str, Stored] = {
            key: Stored(dtypes[key].name, tuple(int(axis) for axis in shapes[key]))
            for key in sorted(shapes)
            if key != OBJECT_GRAPH_KEY
        }
        self.graph = self._object_graph() if OBJECT_GRAPH_KEY in shapes else None
        self.names = {**self._names(), **(labels or {})}

    def get(self, key: str) -> Any:
        """The values under `key`. Raises RestoreProblem."""
        try:
            return np.asarray(self._reader.get_tensor(key))
        except Exception as error:
            raise RestoreProblem(
                f"TensorFlow cannot read {key!r}: {first_line(error)}",
                "The file is damaged; `ckptviewer doctor` says where.",
            ) from error

    def is_model_like(self, key: str) -> bool:
        """Whether it may be a model's variable; a save counter or an iterator is not."""
        return not key.startswith("save_counter") and self.keys[key].dtype != "variant"

    def _object_graph(self) -> Any | None:
        from tensorflow.core.protobuf import (  # type: ignore[import-untyped]
            trackable_object_graph_pb2,
        )

        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        try:
            graph.ParseFromString(self._reader.get_tensor(OBJECT_GRAPH_KEY))
        except Exception:  # what it says is lost, the values are not
            return None
        return graph

    def _names(self) -> dict[str, str]:
        """Each key's name for people: the object graph's full name, else the key's own path."""
        names = {
            key: key[: -len(_ATTRIBUTE)] if key.endswith(_ATTRIBUTE) else key for key in self.keys
        }
        if self.graph is not None:
            for node in self.graph.nodes:
                for attribute in node.attributes:
                    if attribute.full_name and attribute.checkpoint_key in names:
                        names[attribute.checkpoint_key] = attribute.full_name
        return names
