"""Every command of `resources/docs/compare.md` does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import NotACheckpointError
from ckptviewer.cli.directory_pairs import same_place
from tests import builders

PAGE = Path(__file__).parents[2] / "resources" / "docs" / "compare.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the checkpoints that the page names, in a git repository."""
    place = tmp_path_factory.mktemp("documented") / "project"
    (place / "runs").mkdir(parents=True)
    (place / "models").mkdir()
    base = {
        "encoder/kernel": RNG.normal(size=(30, 20)).astype(np.float32),
        "head/kernel": RNG.normal(size=(20, 5)).astype(np.float32),
    }
    changed = {key: value + np.float32(0.01) for key, value in base.items()}
    noisy = {key: value + np.float32(1e-6) for key, value in base.items()}
    moved = {key.replace("encoder/", "backbone/"): value for key, value in base.items()}
    for name, values in (
        ("base", base), ("copy", base), ("tuned", changed), ("noisy", noisy), ("moved", moved)
    ):  # fmt: skip
        builders.save(place / "runs" / name, values)
    git(place, "init", "--quiet")
    for values in (base, changed):
        builders.save(place / "models" / "model.ckpt", values)
        git(place, "add", "models")
        git(place, "commit", "--quiet", "--message", "A model")
    return place


def git(place: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=place, check=True, capture_output=True)


def shell(place: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run commands with `ckptviewer` being this very package."""
    tools = place.parent / "tools"
    tools.mkdir(exist_ok=True)
    program = tools / "ckptviewer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ckptviewer "$@"\n')
    program.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", text],
        cwd=place,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("git") or os.name == "nt", reason="needs git and a shell")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("--")[-1][:30].strip())
def test_the_commands_do_what_the_page_says(place: Path, block: str) -> None:
    commands = [block] if "\nthen" in block else block.strip().splitlines()
    for command in commands:
        done = shell(place, command)
        wanted = re.search(r"# exits with (\d)", command)
        assert done.returncode == (int(wanted[1]) if wanted else 0), done.stderr
        assert "Traceback" not in done.stderr
        if "difftool --" in command:
            assert "2 changed" in done.stdout
        if "then" in command:
            assert done.stdout == "the weights are the same\n"
            assert (place / "difference.json").read_text().startswith('{\n "identical": true')
        if "--html" in command:
            assert all((place / f"report.{kind}").stat().st_size for kind in ("html", "md", "csv"))


def test_the_page_has_its_commands() -> None:
    assert len(BLOCKS) == 9
    assert sum("git difftool" in block for block in BLOCKS) == 1


def test_one_checkpoint_in_each_directory_is_found(tmp_path: Path) -> None:
    values = {"v": np.ones(3, np.float32)}
    for place in ("left/deep/er", "right/deep/er", "right/other", "lone/moved"):
        (tmp_path / place).mkdir(parents=True)
        builders.save(tmp_path / place / "ckpt", values)
    left, right, lone = (str(tmp_path / name) for name in ("left", "right", "lone"))
    assert same_place(left, right) == (f"{left}/deep/er", f"{right}/deep/er")
    assert same_place(left, lone) == (f"{left}/deep/er", f"{lone}/moved")
    assert same_place(f"{left}/deep/er", right) == (f"{left}/deep/er", right)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotACheckpointError, match="no place inside"):
        same_place(left, str(tmp_path / "empty"))
    (tmp_path / "left/other").mkdir()
    builders.save(tmp_path / "left/other/ckpt", values)
    with pytest.raises(NotACheckpointError, match="deep/er, other"):
        same_place(left, right)
