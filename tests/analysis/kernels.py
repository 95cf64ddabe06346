"""Both kinds of inner loops, to run a test on each."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from ckptviewer.analysis import kernel, kernel_choice, kernel_compiled


def use(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    config: pytest.Config,
    loops: ModuleType = kernel,
) -> None:
    """Make this test use the loops called "numpy" or "compiled", and no others.

    loops: the module that chooses: `kernel` for those of statistics. The machine code is made once
    and kept where pytest keeps what is to last from run to run.
    """
    choice = kernel_choice.Choice(loops._loops)
    monkeypatch.setattr(loops, "_choice", choice)
    if name == "numpy":
        choice.refused = "this is a test of the other loops"
        return
    monkeypatch.delenv(kernel_choice.ENVIRONMENT, raising=False)
    folder = Path(config.cache.mkdir("compiled"))
    folder.chmod(0o700)  # else it might be somebody else's code
    where = folder / kernel_compiled.code_path(*loops._loops().sources).name
    monkeypatch.setattr(kernel_compiled, "code_path", lambda *_: where)
    assert choice.prepare() == "compiled", choice.refused
