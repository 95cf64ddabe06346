"""The documents of the program as macOS and Windows want to be told of them.

Both associate by the last extension alone: not by names such as `checkpoint`, and no `?` matches
there. Untried: nobody has installed what is made of this on either system yet. For Linux the same
stands in resources/desktop.
"""

from __future__ import annotations

import plistlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PROG_ID = "ckptviewer.Checkpoint.1"
SHARD_EXTENSIONS = tuple(f"data-{i:05}-of-{n:05}" for n in range(1, 5) for i in range(n))
"""To these systems the end of a shard's name is an extension; so the commonest are named."""


class Documents(NamedTuple):
    """Documents of one kind. is_owner: no other program is likelier to open them."""

    name: str
    extensions: tuple[str, ...]
    is_owner: bool


DOCUMENTS = (
    Documents("TensorFlow checkpoint", ("index", "ckpt", "meta", *SHARD_EXTENSIONS), True),
    Documents("Keras model", ("keras",), True),
    Documents("Safetensors weights", ("safetensors",), True),
    Documents("HDF5 file", ("h5", "hdf5"), False),
    Documents("NumPy arrays", ("npz", "npy"), False),
    Documents("TensorFlow SavedModel", ("pb",), False),
)


def info_plist() -> dict[str, Any]:
    """What the bundle of macOS says of itself, beyond what PyInstaller writes."""
    return {
        "CFBundleDisplayName": "ckptviewer",
        "LSApplicationCategoryType": "public.app-category.developer-tools",
        "NSHighResolutionCapable": True,
        "NSRequiresAquaSystemAppearance": False,  # the window follows the dark appearance
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": kind.name,
                "CFBundleTypeRole": "Viewer",
                "CFBundleTypeExtensions": list(kind.extensions),
                "LSHandlerRank": "Owner" if kind.is_owner else "Alternate",
            }
            for kind in DOCUMENTS
        ]
        + [
            {  # a SavedModel, or the checkpoints of a training: offered, never the default
                "CFBundleTypeName": "Folder of checkpoints",
                "CFBundleTypeRole": "Viewer",
                "LSItemContentTypes": ["public.folder"],
                "LSHandlerRank": "None",
            }
        ],
    }


def registry(program: str) -> Iterator[tuple[str, str, str]]:
    """Key, name and value of what Windows' registry has to hold for this user.

    program: the full path of ckptviewer.exe. A ProgID is offered by "Open with" for every
    extension, and is the default where nothing else is.
    """
    classes = r"HKEY_CURRENT_USER\Software\Classes"
    command = f'"{program}" open "%1"'
    yield rf"{classes}\{PROG_ID}", "", "Checkpoint"
    yield rf"{classes}\{PROG_ID}\DefaultIcon", "", f'"{program}",0'
    yield rf"{classes}\{PROG_ID}\shell\open\command", "", command
    application = rf"{classes}\Applications\ckptviewer.exe"
    yield rf"{application}\shell\open\command", "", command
    for kind in DOCUMENTS:
        for extension in kind.extensions:
            yield rf"{classes}\.{extension}\OpenWithProgids", PROG_ID, ""
            yield rf"{application}\SupportedTypes", f".{extension}", ""
            if kind.is_owner:
                yield rf"{classes}\.{extension}", "", PROG_ID
    yield rf"{classes}\Directory\shell\ckptviewer", "", "Open in ckptviewer"
    yield rf"{classes}\Directory\shell\ckptviewer\command", "", f'"{program}" open "%1"'


def registry_file(program: str) -> str:
    """The same as a .reg file, which a double click imports."""
    lines = ["Windows Registry Editor Version 5.00"]
    for key, name, value in registry(program):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["", f"[{key}]", (f'"{name}"' if name else "@") + f'="{quoted}"']
    return "\r\n".join(lines) + "\r\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--registry"]:
        text = registry_file(sys.argv[2])
        Path(sys.argv[3]).write_text(text, encoding="utf-16", newline="")
    else:
        sys.stdout.buffer.write(plistlib.dumps(info_plist()))
