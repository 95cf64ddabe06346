"""Exporting as a person does it: the program as a process, keys that come from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ckptviewer.formats.resolve import open_checkpoint
from tests.ui.conftest import index_of
from tests.ui.display import Display, ended

pytestmark = [
    pytest.mark.xvfb,
    pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is a server for X11"),
]


def test_an_export_is_ticked_written_and_opened_by_keyboard(display: Display, bundle: Path) -> None:
    process = display.open(index_of(bundle))
    display.window(process, "^digits[.]ckpt-600 - ckptviewer$")
    display.xdotool("key", "ctrl+e")
    display.window(process, "^Export digits[.]ckpt-600 - ckptviewer$")
    display.xdotool("key", "space")  # the first row is the optimizer's group, which is dropped
    display.xdotool("key", "ctrl+Return")
    result = bundle.with_name(f"{bundle.name}-inference")
    display.window(process, "^Exported digits[.]ckpt-600-inference - ckptviewer$")
    with open_checkpoint(index_of(result)) as written, open_checkpoint(bundle) as source:
        names = {variable.name for variable in written.variables}
        wanted = {variable.name for variable in source.variables if variable.in_model}
        wanted |= {"adam/iteration", "adam/learning_rate"}
    assert names - {"save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH"} == wanted
    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
        assert "tensorflow" not in maps.read()
    display.xdotool("key", "space")  # the first button of the result page has the keyboard
    display.window(process, f"^{result.name.replace('.', '[.]')} - ckptviewer$")
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")
