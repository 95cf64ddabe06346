"""What subcommands that run a model share: consent before it runs, and its stages while it does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable

if TYPE_CHECKING:
    from ckptviewer.checkpoint.progress import Progress
    from ckptviewer.validation.protocol import ModelSpec


def ask_to_run(model: ModelSpec, python: str) -> None:
    """Go on only where somebody on a terminal agrees to run the model's code.

    python: the interpreter that is asked for; empty for the default. Raises CkptviewerError.
    """
    from ckptviewer.validation.launcher import default_python
    from ckptviewer.validation.risks import review_model

    review = review_model(model)
    interpreter = python or default_python() or "an interpreter that is still to be chosen"
    what = f"{review.what_runs} The interpreter is {interpreter}."
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        raise CkptviewerError(
            f"nothing was run. {what.rstrip('.')}", remedy="Say that you agree with --yes."
        )
    print(printable(what), file=sys.stderr)
    for risk in review.risks:
        places = f" ({', '.join(risk.places)})" if risk.places else ""
        print(printable(f"  {risk.message}{places}"), file=sys.stderr)
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CkptviewerError("nothing was run, as you did not agree")


@contextmanager
def stages() -> Iterator[Callable[[Progress], None]]:
    """A function that shows what is being done, where somebody watches."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda progress: None
        return

    def show(progress: Progress) -> None:
        text = printable(progress.label or "Measuring the variables")
        if progress.total:
            text += f" ({progress.fraction:.0%})"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
