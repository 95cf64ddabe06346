"""The frame of the command line: subcommands, and one clear line for what could not be done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ckptviewer import __version__
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable
from ckptviewer.cli import SUBCOMMANDS

GOOD, NO, COULD_NOT = 0, 1, 2

_USAGE = """\
ckptviewer [PATH...]
       ckptviewer SUBCOMMAND ..."""

_DESCRIPTION = """\
Opens TensorFlow checkpoints: in a window, or by a subcommand on the terminal.
TensorFlow is not needed, and nothing that a file holds is run, except by
`validate`, which asks first."""

_EPILOG = """\
PATH is any path of the checkpoint that you have in hand: its prefix, .index,
.data shard or .meta, the file `checkpoint`, a SavedModel, a .keras, .h5,
.safetensors or .npz file, or the directory in which it lies. A file that is
named like a subcommand is written ./list.

Subcommands print for people; with --json they print one JSON document on
standard output and nothing else there. Exit status: 0 good; 1 no (different,
not healthy, failed); 2 it could not be done, and one line on standard error
says why.

ckptviewer SUBCOMMAND --help tells its options."""


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; returns the exit status, and never raises for what a file holds."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if sys.stdout is None:
        return _complain("there is no standard output to print on")
    # Keys are bytes to TensorFlow: one that is no UTF-8 must not stop the listing of the others.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except CkptviewerError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except KeyboardInterrupt:
        return _complain("interrupted")
    except OSError as error:
        if os.environ.get("CKPTVIEWER_TRACEBACK"):
            raise
        where = error.filename or "standard output or a file"
        return _complain(f"{where}: reading or writing failed: {error.strerror or error}.")
    except MemoryError:
        return _complain("there is not enough memory for this")
    except Exception as error:  # the last line of defence: a script gets a line, never a traceback
        if os.environ.get("CKPTVIEWER_TRACEBACK"):
            raise
        return _complain(
            f"something went wrong that should not: {type(error).__name__}: {error}. "
            "Please report this; CKPTVIEWER_TRACEBACK=1 shows where it happened."
        )
    return status


def _complain(message: str) -> int:
    text = printable(" ".join(message.splitlines()))
    print(f"ckptviewer: {text}", file=sys.stderr)
    return COULD_NOT


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        text = printable(" ".join(message.split()))
        self.exit(COULD_NOT, f"{self.prog}: error: {text}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ckptviewer",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG + _where_to_read_on(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ckptviewer {__version__}")
    subparsers = parser.add_subparsers(
        prog="ckptviewer", title="subcommands", metavar="", required=True
    )
    opening = subparsers.add_parser("open", help="show checkpoints in a window (the default)")
    opening.add_argument("path", nargs="*", metavar="PATH")
    for name in SUBCOMMANDS:
        import_module(f"ckptviewer.cli.{name}").add_parser(subparsers)
    return parser


def _where_to_read_on() -> str:
    from ckptviewer.resources import MissingResourceError, resource

    try:
        return f"\nDocumentation: {resource('docs')}"
    except MissingResourceError:
        return ""
