"""What lies beside a checkpoint and likely belongs to it: models, validation data, others of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

MOST_LOOKED_AT = 2000
MOST_OFFERED = 12
_KERAS = (".keras", ".h5", ".hdf5")
_VALUES_ALONE = (".weights.h5", ".weights.hdf5")
_DATA = (".npz", ".csv", ".tfrecord", ".tfrecords")
_VALIDATION_WORDS = ("val", "test", "eval", "dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelyFiles:
    """Paths, the likeliest first. models: to restore into. data: to validate with.

    others: checkpoints beside it, by their prefixes.
    """

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def likely_files(checkpoint: str) -> LikelyFiles:
    """Look beside the checkpoint at this path, by names alone; nothing is opened."""
    prefix = os.path.abspath(checkpoint)
    directory = prefix if os.path.isdir(prefix) else os.path.dirname(prefix)
    names = sorted(_names(directory))
    models = list(_models(prefix, directory, names))
    data = [os.path.join(directory, name) for name in names if name.lower().endswith(_DATA)]
    data = [path for path in data if path != prefix]
    data.sort(key=lambda path: not is_for_validation(path))
    others = [
        os.path.join(directory, name.removesuffix(".index"))
        for name in names
        if name.endswith(".index")
    ]
    return LikelyFiles(
        models=tuple(dict.fromkeys(models))[:MOST_OFFERED],
        data=tuple(data[:MOST_OFFERED]),
        others=tuple([path for path in others if path != prefix][-MOST_OFFERED:]),
    )


def _models(prefix: str, directory: str, names: list[str]) -> Iterator[str]:
    """The .meta of this very checkpoint first, then whole models, then any other graph."""
    if os.path.isfile(f"{prefix}.meta"):
        yield f"{prefix}.meta"
    if prefix.lower().endswith(_KERAS):
        yield prefix
    for place in (directory, os.path.dirname(directory)):  # variables/ lies below its SavedModel
        if any(os.path.isfile(os.path.join(place, f"saved_model.{e}")) for e in ("pb", "pbtxt")):
            yield place
    for name in names:
        path = os.path.join(directory, name)
        lower = name.lower()
        is_keras = lower.endswith(_KERAS) and not lower.endswith(_VALUES_ALONE)
        if is_keras or os.path.isfile(os.path.join(path, "saved_model.pb")):
            yield path
    for name in names:
        if name.endswith(".meta"):
            yield os.path.join(directory, name)


def _names(directory: str) -> list[str]:
    with suppress(OSError), os.scandir(directory) as entries:
        return [entry.name for entry in islice(entries, MOST_LOOKED_AT)]
    return []


def is_for_validation(path: str) -> bool:
    """Whether its name says that it is data to validate with."""
    name = os.path.basename(path).lower()
    return any(word in name for word in _VALIDATION_WORDS)
