"""Pythons are found where people keep them, and each says what it has."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.validation.interpreters import (
    ask_interpreter,
    candidates,
    find_interpreters,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="made of shell scripts")

ANSWER = '{"python": "3.10.1", "version": [3, 10], "tensorflow": %s, "numpy": "1.26.0"}'


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def answering(path: Path, tensorflow: str = '"2.15.0"') -> Path:
    return script(path, f"echo '{ANSWER % tensorflow}'")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of nobody's, and no environment."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "WORKON_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def test_our_own_has_tensorflow() -> None:
    own = ask_interpreter(sys.executable)
    assert own.is_usable
    assert own.python == sys.version.split()[0]
    assert own.tensorflow
    assert own.title == f"Python {own.python}, TensorFlow {own.tensorflow}"


def test_environments_are_found_where_tools_put_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = home / "work" / "project"
    wanted = {
        home / "active" / "bin" / "python": "the active environment",
        project / ".venv" / "bin" / "python": f"environment in {project}",
        home / ".pyenv" / "versions" / "3.10.1" / "bin" / "python": "pyenv",
        home / "miniconda3" / "envs" / "tf" / "bin" / "python": "conda",
        home / "elsewhere" / "bin" / "python": "conda",
        home / ".virtualenvs" / "tf" / "bin" / "python": "virtualenvwrapper",
        home / "bin" / "python3": "the search path",
    }
    for path in wanted:
        answering(path)
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{home / 'elsewhere'}\n")
    monkeypatch.setenv("VIRTUAL_ENV", str(home / "active"))
    monkeypatch.setenv("PATH", str(home / "bin"))
    found = dict(candidates([project / "checkpoints" / "model.ckpt-1.index"]))
    assert found.pop(sys.executable) == "this program's own"
    assert {Path(path): origin for path, origin in found.items()} == wanted


def test_each_is_found_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = answering(home / "bin" / "python3.10")
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to(python)
    (home / "also").symlink_to(home / "bin")
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{home / 'also'}")
    found = [path for path, origin in candidates() if origin == "the search path"]
    assert found == [str(home / "bin" / "python3")]


def test_those_that_will_do_come_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(home / ".virtualenvs" / "without" / "bin" / "python", "null")
    answering(home / ".virtualenvs" / "old" / "bin" / "python", '"1.15.0"')
    good = answering(home / ".virtualenvs" / "good" / "bin" / "python")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with ThreadPoolExecutor(2) as pool:
        found = find_interpreters(pool=pool)
    assert [each.path for each in found if each.is_usable] == [str(good)]
    assert found[0].tensorflow == "2.15.0"
    problems = {Path(each.path).parts[-3]: each.problem for each in found[1:]}
    assert problems == {
        "without": "It has no TensorFlow.",
        "old": "TensorFlow 1.15.0 is too old: 2.x is needed.",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exec sleep 60", "did not answer within 0.3 seconds"),
        ("echo no; exit 1", "It is no Python that answers."),
        ("echo '[1]'", "It is no Python that answers."),
        ('echo \'{"python": "3.6.9", "version": [3, 6]}\'', "Python 3.6.9 is too old"),
    ],
)
def test_what_answers_otherwise(text: str, problem: str, tmp_path: Path) -> None:
    path = script(tmp_path / "python", text)
    answer = ask_interpreter(str(path), timeout_seconds=0.3 if "sleep" in text else 10)
    assert problem in answer.problem
    assert not answer.is_usable


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "cannot be started" in ask_interpreter(str(tmp_path / "none")).problem


def test_cancelled(home: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        find_interpreters(cancel=token)


def test_nothing_of_the_current_directory_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "csv", "email", "zipfile"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    assert ask_interpreter(sys.executable).python
    assert not (tmp_path / "ran").exists()
