"""Starting the window: as little as possible before the first paint."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.ui.hand_over import Claim, Request, desktop_token, meet, meeting_place
from ckptviewer.ui.session import Session, open_session

GOOD, COULD_NOT = 0, 2

_DESCRIPTION = """\
Show checkpoints in the window, each in one of its own; without a path, an empty
one. A window that is open already takes the paths."""

_EPILOG = """\
examples:
  ckptviewer model.ckpt-9000.index
  ckptviewer open --demo
  ckptviewer open --compare model.ckpt-9000 model.ckpt-9500
  ckptviewer open model.ckpt-9000 --screenshot model.png --theme dark

Exit status: 0 it was shown; 2 it could not be, and standard error says why.
`ckptviewer --help` lists the subcommands."""


def start(arguments: Sequence[str]) -> int:
    """Open the window with the paths of the command line; returns the exit status."""
    options = parse(arguments)
    claim: Claim | None = None
    try:
        request = _request(options)
        met = meet(request, meeting_place()) if _is_shared(options) else False
        if met is True:
            from ckptviewer.ui.startup_note import tell_start_is_over

            tell_start_is_over()
            return GOOD
        claim = met or None
        from ckptviewer.ui.platform import load_binding, prepare_platform

        prepare_platform(off_screen=options.screenshot is not None)
        load_binding()
        is_comparison = request.compare and len(request.paths) == 2  # which opens both itself
        opening = None if is_comparison else _open_ahead(request.paths)
        from ckptviewer.ui.app import run_app

        return run_app(options, request, opening, claim)
    except CkptviewerError as error:
        print(f"ckptviewer: {error}", file=sys.stderr)  # noqa: T201
        return COULD_NOT
    except ImportError as error:
        from ckptviewer.ui.platform import explain_import_error

        print(f"ckptviewer: {explain_import_error(error)}", file=sys.stderr)  # noqa: T201
        return COULD_NOT
    finally:
        if claim is not None:
            claim.give_back()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Understand the arguments of `ckptviewer [open]`."""
    arguments = list(arguments)
    if arguments[:1] == ["open"]:
        del arguments[0]
    parser = argparse.ArgumentParser(
        prog="ckptviewer open",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path", nargs="*", metavar="PATH", help="any path of a checkpoint, or of a training"
    )
    parser.add_argument("--demo", action="store_true", help="show the demo that comes along")
    parser.add_argument(
        "--screenshot",
        metavar="PNG",
        type=Path,
        help="draw the window off screen once it is complete, save the picture, and exit",
    )
    parser.add_argument(
        "--compare", action="store_true", help="show two paths as A and B of a comparison"
    )
    parser.add_argument(
        "--new-window",
        action="store_true",
        help="open a process of its own, even where a window is open that would take the paths",
    )
    parser.add_argument(
        "--theme", choices=("light", "dark"), help="default: as set; light for a picture"
    )
    parser.add_argument("--size", metavar="1280x800", type=_size, help="of the window, in pixels")
    parser.add_argument("--select", metavar="KEY", help="the variable to show first")
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 200 <= int(width) <= 16384):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 1280x800")
    if not 150 <= int(height) <= 16384:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 1280x800")
    return int(width), int(height)


def _request(options: argparse.Namespace) -> Request:
    paths = [os.path.abspath(path) for path in options.path]
    if options.demo:
        from ckptviewer.resources import demo_checkpoint

        paths.insert(0, os.fspath(demo_checkpoint()))
    return Request(paths=tuple(paths), compare=options.compare, token=desktop_token())


def _is_shared(options: argparse.Namespace) -> bool:
    """Whether a window that is open already may take the paths.

    Options that speak of this very start cannot be handed over.
    """
    own = (options.screenshot, options.new_window, options.theme, options.size, options.select)
    return not any(own)


def _open_ahead(paths: Sequence[str]) -> Future[Session] | None:
    """Begin to read the first checkpoint while Qt is still being loaded."""
    if not paths:
        return None
    executor = ThreadPoolExecutor(1, thread_name_prefix="open")
    try:
        return executor.submit(open_session, paths[0])
    finally:
        executor.shutdown(wait=False)
