"""The files that the program ships beside its code: icons and the demo checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

from ckptviewer.checkpoint.errors import CkptviewerError

_INSTALLED_NAME = "resources-data"


class MissingResourceError(CkptviewerError, FileNotFoundError):
    """A file that belongs to the program is not where the program was installed."""


def resource(relative: str) -> Path:
    """The path of the shipped file or directory `relative` ("icons/ckptviewer.svg").

    The same in a checkout, an installed wheel and a frozen application. Raises
    MissingResourceError where it does not exist, ValueError where `relative` leads outside.
    """
    parts = PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"not a path inside the resources: {relative!r}")
    root = _root()
    path = root.joinpath(*parts.parts)
    if not path.exists():
        raise MissingResourceError(
            f"the program's own file {relative} is missing",
            where=str(root),
            remedy="The installation is incomplete; install ckptviewer again.",
        )
    return path


def demo_checkpoint() -> Path:
    """The prefix of the demo's later checkpoint; open it as any other path."""
    return resource("demo/digits.ckpt-600.index").with_suffix("")


def _root() -> Path:
    package = Path(__file__).resolve().parent
    if getattr(sys, "frozen", False):
        # An application made by PyInstaller unpacks its data here, under the name in the wheel.
        package = Path(getattr(sys, "_MEIPASS", package.parent)) / "ckptviewer"
    installed = package / _INSTALLED_NAME
    return installed if installed.is_dir() else package.parent / "resources"
