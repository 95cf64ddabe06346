"""What a run of the program loads: never TensorFlow, and of cli and ui only the one it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ckptviewer.resources import demo_checkpoint

NEVER = {"tensorflow", "keras", "tf_keras", "h5py", "scipy", "sklearn"}
QT = {"PySide6", "shiboken6", "pyqtgraph"}


RUN = """
import json, sys
from ckptviewer.__main__ import main
status = main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


def modules_of_a_run(*arguments: str, directory: Path) -> set[str]:
    """The names of all modules that `ckptviewer ARGUMENTS` imports until it ends, with status 0."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=directory,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "json"])
def test_list_loads_neither_tensorflow_nor_qt(form: list[str], tmp_path: Path) -> None:
    modules = modules_of_a_run("list", str(demo_checkpoint()), *form, directory=tmp_path)
    assert "ckptviewer.formats.tf_bundle" in modules
    assert not {name.split(".")[0] for name in modules} & (NEVER | QT)


def test_window_loads_neither_tensorflow_nor_the_command_line(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    modules = modules_of_a_run("open", "--demo", "--screenshot", str(picture), directory=tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "PySide6.QtWidgets" in modules
    assert not {name.split(".")[0] for name in modules} & NEVER
    assert not {name for name in modules if name.startswith("ckptviewer.cli.")}
