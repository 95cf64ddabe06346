"""The frame of the command line: help, version, wrong arguments, and the last line of defence."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ckptviewer import __version__
from ckptviewer.__main__ import main
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.cli import SUBCOMMANDS
from ckptviewer.cli import list as list_command
from ckptviewer.resources import demo_checkpoint


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name in ("open", *SUBCOMMANDS):
        assert f"    {name} " in out
    assert "Exit status" in out


@pytest.mark.parametrize("name", ["open", *SUBCOMMANDS])
def test_every_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: ckptviewer {name}")
    assert err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ckptviewer {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--jsn", "x"],
        ["list", "a", "b"],
        ["open", "--no-such"],
        ["--no-such"],
        ["open", "--theme", "pink"],
        ["open", "--size", "big"],
        ["open", "--size", "0x0"],
        ["open", "--size", "99999x800"],
        ["open", "--size", "1280x80\u00b2"],
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    if arguments[0] in SUBCOMMANDS:
        (line,) = err.splitlines()
        assert line.startswith("ckptviewer")
        assert line.endswith("--help")
    assert "error: " in err.splitlines()[-1]
    assert "Traceback" not in err


def test_file_that_is_named_like_a_subcommand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = demo_checkpoint()
    name = demo.name.removesuffix(".index")
    for path in demo.parent.glob(f"{name}.*"):
        shutil.copy(path, tmp_path / path.name.replace(name, "list"))
    monkeypatch.chdir(tmp_path)
    assert main(["list", "list"]) == 0
    assert main(["list", "./list"]) == 0
    first, second = capsys.readouterr().out.split(": tf-bundle")[:2]
    assert first.endswith("list")
    assert second


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DamagedFileError("it is\nbroken", where="here", remedy="Mend it."), "here: it is broken."),
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("division\nby zero"), "ZeroDivisionError: division by zero"),
        (RecursionError("deep"), "RecursionError"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_happens_is_one_line(
    error: BaseException,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_options: argparse.Namespace) -> int:
        raise error

    monkeypatch.delenv("CKPTVIEWER_TRACEBACK", raising=False)
    monkeypatch.setattr(list_command, "run", fail)
    assert main(["list", "x"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ckptviewer: ")
    assert err.count("\n") == 1
    assert said in err


def test_traceback_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_options: argparse.Namespace) -> int:
        raise ZeroDivisionError

    monkeypatch.setenv("CKPTVIEWER_TRACEBACK", "1")
    monkeypatch.setattr(list_command, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["list", "x"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ckptviewer", "list", str(demo_checkpoint()), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("ckptviewer: ")
    assert done.stderr.count("\n") == 1


def test_closed_standard_output_is_no_traceback() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m ckptviewer list "$1" >&-', sys.executable, demo_checkpoint()],
        stderr=subprocess.PIPE,
        env=os.environ,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_an_interrupt_while_modules_are_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> argparse.ArgumentParser:
        raise KeyboardInterrupt

    monkeypatch.setattr("ckptviewer.cli.main._parser", interrupted)
    assert main(["list", "x"]) == 2
    assert capsys.readouterr() == ("", "ckptviewer: interrupted\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_full_disk_behind_standard_output(option: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ckptviewer", "list", str(demo_checkpoint()), *option],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert "should not" not in done.stderr
