"""Both kinds of inner loops, to run a test on each."""

from __future__ import annotations

from pathlib import Path

import pytest

from ckptviewer.analysis import kernel, kernel_choice, kernel_compiled


def use(name: str, monkeypatch: pytest.MonkeyPatch, config: pytest.Config) -> None:
    """Make this test's statistics use the loops called "numpy" or "compiled", and no others.

    The machine code is made once and kept where pytest keeps what is to last from run to run.
    """
    choice = kernel_choice.Choice(kernel._loops)
    monkeypatch.setattr(kernel, "_choice", choice)
    if name == "numpy":
        choice.refused = "this is a test of the other loops"
        return
    monkeypatch.delenv(kernel.ENVIRONMENT, raising=False)
    folder = Path(config.cache.mkdir("compiled"))
    folder.chmod(0o700)  # else it might be somebody else's code
    where = folder / kernel_compiled.code_path().name
    monkeypatch.setattr(kernel_compiled, "code_path", lambda: where)
    assert kernel.prepare() == "compiled", kernel.why_not()
