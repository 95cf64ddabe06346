"""Finding a run: all checkpoints of a directory, which one TensorFlow calls the latest, and why."""

from __future__ import annotations

from ckptviewer.runs.entry import CheckpointEntry, Condition, FileState, Run, StepSource

__all__ = ["CheckpointEntry", "Condition", "FileState", "Run", "StepSource"]
