"""CheckpointEntry and Run: a training's checkpoints, as far as they are known without reading."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from ckptviewer.checkpoint.findings import Finding


class Condition(StrEnum):
    """What the files of a checkpoint look like from outside.

    INCOMPLETE: half-written, or half-deleted: its index or a data file is not there.
    DAMAGED: all files are there, and one of them is cut short or not what its name says.
    """

    SOUND = "sound"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"


class StepSource(StrEnum):
    """Where a step was read: in the name, in a counter stored inside, or nowhere."""

    NAME = "name"
    INSIDE = "inside"
    NONE = ""


class FileState(NamedTuple):
    """One file as it was at one look: path, and what changes when it is rewritten or replaced."""

    path: str
    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, kw_only=True)  # not slotted: it keeps its signature
class CheckpointEntry:
    """One checkpoint of a run, as it was when the directory was looked at.

    name: relative to the run's directory ("model.ckpt-1000", "epoch_05.keras", "17"); unique in it.
    path: as TensorFlow and people call it: of a bundle the prefix, else the file or directory.
    opens_by: what `open_checkpoint` takes and nothing beside it can be mistaken for.
    format: the format's name ("tf-bundle"); empty where no format takes it.
    step: None where neither its name nor a counter inside tells.
    metrics: numbers in its name that are not the step ("val_loss": 0.21); "metric" without a label.
    size_bytes: of all its files together.
    saved_at: seconds since 1970: when the newest of its files was written.
    files: all of them, in the order of their paths; none is shared with another checkpoint.
    trouble: what is wrong, one clause; empty where it is sound.
    named_latest: whether the file `checkpoint` names it by model_checkpoint_path, mended if stale.
    """

    name: str
    path: str
    opens_by: str
    format: str
    step: int | None = None
    step_source: StepSource = StepSource.NONE
    metrics: Mapping[str, float] = field(default_factory=dict)
    size_bytes: int
    saved_at: float
    files: tuple[FileState, ...]
    condition: Condition = Condition.SOUND
    trouble: str = ""
    named_latest: bool = False

    @cached_property
    def signature(self) -> str:
        """A name for the present content of its files; another one once any has changed."""
        digest = hashlib.blake2b(os.fsencode(os.path.abspath(self.path)), digest_size=20)
        for state in self.files:
            digest.update(os.fsencode(os.path.basename(state.path)) + repr(state[1:]).encode())
        return digest.hexdigest()

    @property
    def sound(self) -> bool:
        """Whether it looks complete and undamaged."""
        return self.condition is Condition.SOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A directory of checkpoints of one training.

    path: the directory.
    latest: exactly what `tf.train.latest_checkpoint` returns for what was asked; None as there.
    latest_reason: why it is this one, or why there is none: one sentence.
    checkpoints: by step, then by time; those without a step come first, by time.
    findings: what is wrong with the directory or with single checkpoints.
    """

    path: str
    latest: str | None
    latest_reason: str
    checkpoints: tuple[CheckpointEntry, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def named_latest(self) -> CheckpointEntry | None:
        """The one that the file `checkpoint` names as the latest, stale paths mended."""
        return next((entry for entry in self.checkpoints if entry.named_latest), None)

    @property
    def newest(self) -> CheckpointEntry | None:
        """The last sound one by step."""
        return next((entry for entry in reversed(self.checkpoints) if entry.sound), None)

    def __getitem__(self, name: str) -> CheckpointEntry:
        """The checkpoint of that name. Raises KeyError."""
        for entry in self.checkpoints:
            if entry.name == name:
                return entry
        raise KeyError(name)
