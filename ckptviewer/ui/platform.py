"""What the window needs of the system, checked first: Qt itself aborts without a clear word."""

from __future__ import annotations

import builtins
import ctypes
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError

_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}
"""Shared library to the package of Debian and Ubuntu that has it."""

_MISSING = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")


class NoDisplayError(CkptviewerError, OSError):
    """There is no screen on which a window could be shown."""


class MissingSystemLibraryError(CkptviewerError, ImportError):
    """Qt needs a shared library that this system has not got."""


def prepare_platform(*, off_screen: bool) -> None:
    """Choose Qt's platform, and make sure that it can start.

    Raises NoDisplayError, MissingSystemLibraryError.
    """
    if off_screen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if os.environ.get("WAYLAND_DISPLAY"):
        return
    if not os.environ.get("DISPLAY"):
        raise _no_display("there is no display to show a window on")
    _require_xcb_plugin()
    if not _x_server_answers():
        raise _no_display(f"the display {os.environ['DISPLAY']} does not answer")


def load_binding() -> None:
    """Import what Qt for Python stands on, while no other thread imports anything.

    It is not made for company: it dies where another thread imports a module meanwhile. And
    from then on it would read the source of each module that is imported, in whatever thread, to
    see whether that asks for Python's way of naming ("from __feature__ import"); next to the GUI
    thread this has ended in crashes. Nothing here asks for it, so that part is taken out again.
    """
    import PySide6  # noqa: F401

    before = getattr(builtins, "__orig_import__", None)
    if before is not None:
        builtins.__import__ = before


def explain_import_error(error: ImportError) -> str:
    """One line for what kept Qt from being imported, with the package to install."""
    text = str(error)
    if _MISSING.search(text):
        return str(_missing_library(text))
    if "PySide6" in text or (error.name and error.name.startswith("PySide6")):
        return (
            "Qt for Python is not installed. "
            "Install it with `pip install 'PySide6-Essentials>=6.8,<6.12'`."
        )
    return f"a part of it cannot be loaded: {text}"


def _no_display(what: str) -> NoDisplayError:
    return NoDisplayError(
        what,
        remedy="For a picture instead: `ckptviewer open --demo --screenshot demo.png` "
        "(or a path in the place of --demo); for a listing: `ckptviewer list PATH`.",
    )


def _missing_library(text: str) -> MissingSystemLibraryError:
    match = _MISSING.search(text)
    library = match[1] if match else "a shared library"
    package = _PACKAGES.get(library)
    return MissingSystemLibraryError(
        f"the system library {library} is missing",
        remedy=f"Install it with `apt-get install {package}` (or your system's equivalent)."
        if package
        else "Install the package of your system that has it.",
    )


def _require_xcb_plugin() -> None:
    spec = find_spec("PySide6")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        plugin = Path(folder, "Qt", "plugins", "platforms", "libqxcb.so")
        if plugin.exists():
            try:
                ctypes.CDLL(str(plugin))
            except OSError as error:
                raise _missing_library(str(error)) from error


def _x_server_answers() -> bool:
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    answers = xcb.xcb_connection_has_error(connection) == 0
    xcb.xcb_disconnect(connection)
    return answers
