"""What may go wrong in the worker, each as one sentence for people."""

from __future__ import annotations


class Problem(Exception):
    """Stops a request. message: one sentence; remedy: one sentence, may be empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class MissingTensorFlow(Problem):
    """TensorFlow is not there, or cannot be imported."""


class ModelProblem(Problem):
    """The model cannot be loaded, or cannot be called."""


class RestoreProblem(Problem):
    """The checkpoint cannot be read or restored."""


class DataProblem(Problem):
    """The data cannot be read, or does not fit the model."""


class MetricProblem(Problem):
    """A metric is unknown, or cannot be computed of this output."""


def first_line(error: BaseException, most: int = 300) -> str:
    """The beginning of what an exception says, as part of a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text.rstrip(".")


def wrapped(kind: type[Problem], what: str, error: BaseException, remedy: str = "") -> Problem:
    """A problem that tells what was being done and what came of it."""
    if isinstance(error, Problem):
        return error
    return kind(f"{what}: {type(error).__name__}: {first_line(error)}", remedy)
