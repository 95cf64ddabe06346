"""A progress bar on standard error, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import count_text, size_text

_WIDTH = 30


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A function that draws how far the work has come; it draws nothing where nobody watches."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda progress: None
        return

    def show(progress: Progress) -> None:
        filled = round(_WIDTH * progress.fraction)
        bar = "#" * filled + "." * (_WIDTH - filled)
        told = size_text if progress.unit == "bytes" else count_text
        text = f"{told(progress.done)} of {told(progress.total)}"
        print(f"\r[{bar}] {progress.fraction:4.0%}  {text} ", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
