"""The frame of the command line: subcommands, and one clear line for what could not be done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ckptviewer import __version__
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable
from ckptviewer.cli import SUBCOMMANDS

GOOD, NO, COULD_NOT = 0, 1, 2

_DESCRIPTION = """\
Look into TensorFlow checkpoints without TensorFlow.

`ckptviewer PATH...` opens the window. The subcommands below print for people, and with --json one
JSON document on standard output."""

_EPILOG = """\
PATH is any path of a checkpoint that you have in hand: a prefix, its .index, a .data shard, .meta,
the `checkpoint` file, or a directory. Exit status: 0 good, 1 no, 2 could not do it.
A file that is named like a subcommand is written ./list."""


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ckptviewer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ckptviewer {__version__}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="", required=True)
    opening = subparsers.add_parser("open", help="open the window (the default)")
    opening.add_argument("path", nargs="*", metavar="PATH")
    for name in SUBCOMMANDS:
        import_module(f"ckptviewer.cli.{name}").add_parser(subparsers)
    return parser
