"""What desktops are told: which files are checkpoints, and what opens them."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

CHECKOUT = Path(__file__).resolve().parents[2]
DESKTOP = CHECKOUT / "resources" / "desktop"
MIME = "{http://www.freedesktop.org/standards/shared-mime-info}"

TYPES = {
    "model.index": "application/x-tensorflow-checkpoint",
    "model.ckpt-10.index": "application/x-tensorflow-checkpoint",
    ".index": "application/x-tensorflow-checkpoint",
    "model.data-00000-of-00001": "application/x-tensorflow-checkpoint",
    ".data-00012-of-00099": "application/x-tensorflow-checkpoint",
    "model.ckpt": "application/x-tensorflow-checkpoint",
    "model.ckpt-10.meta": "application/x-tensorflow-metagraph",
    "checkpoint": "application/x-tensorflow-checkpoint-state",
    "saved_model.pb": "application/x-tensorflow-saved-model",
    "saved_model.pbtxt": "application/x-tensorflow-saved-model",
    "model.keras": "application/x-keras-model",
    "model.weights.h5": "application/x-keras-weights",
    "model.weights.json": "application/x-keras-weights-map",
    "model.safetensors": "application/x-safetensors",
    "model.h5": "application/x-hdf",
    "model.hdf5": "application/x-hdf",
    "arrays.npz": "application/x-numpy-archive",
    "array.npy": "application/x-numpy-array",
}
NOT_OURS = ("graph.pb", "my-checkpoint", "notes.json", "model.zip", "data-1-of-2", "a.data-1-of-2")


def entry(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def types_of(path: Path) -> list[str]:
    """The types that a desktop entry or an action is for."""
    parser = entry(path)
    (value,) = {
        value
        for section in parser.sections()
        for name, value in parser[section].items()
        if name.lower() in ("mimetype", "mimetypes")
    }
    assert value.endswith(";")
    return value[:-1].split(";")


@pytest.fixture(scope="module")
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data directory with the types installed."""
    if shutil.which("update-mime-database") is None:
        pytest.skip("update-mime-database is missing: `apt-get install shared-mime-info`")
    home = tmp_path_factory.mktemp("data")
    (home / "mime" / "packages").mkdir(parents=True)
    (home / "applications").mkdir()
    shutil.copy(DESKTOP / "ckptviewer-mime.xml", home / "mime" / "packages")
    shutil.copy(DESKTOP / "ckptviewer.desktop", home / "applications")
    done = subprocess.run(
        ["update-mime-database", home / "mime"],
        env=os.environ | {"XDG_DATA_HOME": str(home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return home


def content_types(data_home: Path, directory: Path, names: list[str]) -> dict[str, str]:
    """The type that GLib, and so most file managers, gives each name."""
    if shutil.which("gio") is None:
        pytest.skip("gio is missing: `apt-get install libglib2.0-bin`")
    for name in names:
        (directory / name).write_bytes(b"\0\1\2 no content tells\n")
    found = {}
    for name in names:
        done = subprocess.run(
            ["gio", "info", "-a", "standard::content-type", directory / name],
            env=os.environ | {"XDG_DATA_HOME": str(data_home), "LC_ALL": "C.UTF-8"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found[name] = done.stdout.rpartition("standard::content-type:")[2].strip()
    return found


def test_names_of_checkpoints_have_their_types(data_home: Path, tmp_path: Path) -> None:
    assert content_types(data_home, tmp_path, list(TYPES)) == TYPES


def test_names_of_other_files_have_not(data_home: Path, tmp_path: Path) -> None:
    found = content_types(data_home, tmp_path, list(NOT_OURS))
    assert not set(found.values()) & set(types_of(DESKTOP / "ckptviewer.desktop"))


def test_the_program_opens_every_type_that_it_defines_and_no_directory() -> None:
    defined = {
        kind.attrib["type"]
        for kind in ET.parse(DESKTOP / "ckptviewer-mime.xml").getroot().iter(f"{MIME}mime-type")
    }
    opened = types_of(DESKTOP / "ckptviewer.desktop")
    assert len(opened) == len(set(opened))
    assert defined <= set(opened)
    assert set(TYPES.values()) <= set(opened)
    # Whoever claims directories becomes the file manager of a desktop that has set no other.
    assert "inode/directory" not in opened


@pytest.mark.parametrize(
    "action",
    ["file-manager-actions/ckptviewer-compare.desktop",
     "kio-servicemenus/ckptviewer-compare.desktop",
     "nemo-actions/ckptviewer-compare.nemo_action"],
)  # fmt: skip
def test_the_same_types_can_be_compared(action: str) -> None:
    assert types_of(DESKTOP / action) == types_of(DESKTOP / "ckptviewer.desktop")
    text = (DESKTOP / action).read_text(encoding="utf-8")
    assert "Name=Compare with ckptviewer\n" in text
    assert "Exec=ckptviewer open --compare %F\n" in text


def test_command_line_of_the_entry_is_understood() -> None:
    from ckptviewer.ui.start import parse

    main = entry(DESKTOP / "ckptviewer.desktop")["Desktop Entry"]
    program, *words = main["Exec"].split()
    assert program == main["TryExec"] == "ckptviewer"
    assert words.pop() == "%F"
    options = parse([*words, "/a.index", "/b.index"])
    assert options.compare
    assert options.path == ["/a.index", "/b.index"]
    assert parse(words).path == []


@pytest.mark.parametrize(
    "command",
    [
        ["desktop-file-validate", DESKTOP / "ckptviewer.desktop"],
        ["appstreamcli", "validate", "--no-net",
         DESKTOP / "org.ckptviewer.ckptviewer.metainfo.xml"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_validators_have_nothing_to_complain_of(command: list[str | Path]) -> None:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is missing")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout.lower()


def test_icons_are_drawn_in_every_size(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, CHECKOUT / "resources" / "make_icons.py", tmp_path],
        check=True, capture_output=True,
    )  # fmt: skip
    sizes = set()
    for path in tmp_path.rglob("*.png"):
        image = QImage(str(path))
        size, place = path.parts[-3], path.parts[-2]
        assert f"{image.width()}x{image.height()}" == size
        assert image.pixelColor(0, 0).alpha() == 0
        assert image.pixelColor(image.width() // 2, image.height() // 2).alpha() == 255
        sizes.add((size, place, path.stem))
    assert {("16x16", "apps", "ckptviewer"), ("48x48", "mimetypes", "ckptviewer-document"),
            ("256x256", "apps", "ckptviewer")} <= sizes  # fmt: skip
    icons = {
        e.attrib["name"] for e in ET.parse(DESKTOP / "ckptviewer-mime.xml").iter(f"{MIME}icon")
    }
    assert icons == {"ckptviewer-document"}
    assert (tmp_path / "hicolor" / "scalable" / "mimetypes" / "ckptviewer-document.svg").exists()
