"""The inner loops of a training's series, where compiled ones are worth their start."""

from __future__ import annotations

from ckptviewer.analysis.kernel_choice import Choice, Loops
from ckptviewer.analysis.update_compiled import MODULE, SOURCES, CompiledUpdates


def _loops() -> Loops[CompiledUpdates]:
    from ckptviewer.analysis import kernel_shipped

    return Loops(kernel_shipped.load_updates, CompiledUpdates, MODULE, SOURCES)


_choice: Choice[CompiledUpdates] = Choice(_loops)


def compiled_for(count: int) -> CompiledUpdates | None:
    """See `Choice.compiled_for`."""
    return _choice.compiled_for(count)


def prepare(timeout_seconds: float = 120.0) -> str:
    """See `Choice.prepare`."""
    return _choice.prepare(timeout_seconds)
