"""Starting the program: the picture it draws, the display it needs, and what it never loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui import platform
from ckptviewer.ui.platform import (
    MissingSystemLibraryError,
    NoDisplayError,
    explain_import_error,
    prepare_platform,
)
from ckptviewer.ui.settings import MOST_RECENT_FILES, Settings, settings_path
from tests.ui.conftest import data_of, index_of


def ckptviewer(*arguments: str | Path, **environment: str | None) -> tuple[int, str, str]:
    """Run the program in a process of its own; its status, output and errors."""
    env = dict(os.environ)
    for name, value in environment.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    done = subprocess.run(
        [sys.executable, "-m", "ckptviewer", *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def colours(image: QImage) -> set[int]:
    return {
        image.pixel(x, y) for x in range(0, image.width(), 5) for y in range(0, image.height(), 5)
    }


def lightness(image: QImage) -> float:
    seen = [
        image.pixelColor(x, y).lightness()
        for x in range(0, image.width(), 23)
        for y in range(0, image.height(), 23)
    ]
    return sum(seen) / len(seen)


def test_qt_gives_back_what_it_borrows(qapp: QApplication) -> None:
    # Qt for Python 6.12.0 dropped a reference to None with every call: Python 3.11 aborted soon.
    image = QImage(10, 10, QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    before = sys.getrefcount(None)
    for _ in range(500):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.save()
        painter.restore()
    after = sys.getrefcount(None)
    painter.end()
    assert abs(after - before) < 100


# The picture


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures of the demo, light in the usual size, and dark in another."""
    directory = tmp_path_factory.mktemp("pictures")
    made = {}
    for theme, size in (("light", ()), ("dark", ("--size", "1000x700"))):
        made[theme] = directory / f"{theme}.png"
        done = ckptviewer(
            "open", "--demo", "--screenshot", made[theme], "--theme", theme, *size,
            QT_QPA_PLATFORM=None, DISPLAY=None, WAYLAND_DISPLAY=None,
        )  # fmt: skip
        assert done == (0, "", "")
    return made


def test_picture_has_the_size_that_was_asked_for(pictures: dict[str, Path]) -> None:
    light, dark = QImage(str(pictures["light"])), QImage(str(pictures["dark"]))
    assert (light.width(), light.height()) == (1280, 800)
    assert (dark.width(), dark.height()) == (1000, 700)


def test_picture_shows_something_in_its_theme(pictures: dict[str, Path]) -> None:
    light, dark = QImage(str(pictures["light"])), QImage(str(pictures["dark"]))
    assert len(colours(light)) > 50
    assert len(colours(dark)) > 50
    assert lightness(light) > 200
    assert lightness(dark) < 80
    for image in (light, dark):
        left = colours(image.copy(0, 100, image.width() // 2, image.height() - 150))
        right = colours(image.copy(image.width() * 3 // 4, 100, image.width() // 4, 400))
        assert len(left) > 20  # the tree
        assert len(right) > 10  # the inspector


def test_picture_of_the_variable_that_was_asked_for(
    pictures: dict[str, Path], tmp_path: Path
) -> None:
    prefix = str(demo_checkpoint()).removesuffix(".index")
    status, out, _ = ckptviewer("list", prefix)
    key = next(line.split()[0] for line in out.splitlines() if line.endswith("weight"))
    picture = tmp_path / "one.png"
    done = ckptviewer(
        "open", prefix, "--screenshot", picture, "--select", key, "--size", "1280x800"
    )
    assert done == (0, "", "")
    assert status == 0
    overview, one = QImage(str(pictures["light"])), QImage(str(picture))
    assert one.size() == overview.size()
    assert one.copy(900, 100, 380, 600) != overview.copy(900, 100, 380, 600)


def test_picture_of_an_empty_window(tmp_path: Path) -> None:
    picture = tmp_path / "empty.png"
    assert ckptviewer("--screenshot", picture) == (0, "", "")
    assert len(colours(QImage(str(picture)))) > 5


def test_picture_neither_reads_nor_writes_settings(tmp_path: Path, settings_file: Path) -> None:
    settings_file.parent.mkdir()
    settings_file.write_text('{"theme": "dark", "view_by": "role"}')
    before = settings_file.read_bytes()
    picture = tmp_path / "demo.png"
    assert ckptviewer("open", "--demo", "--screenshot", picture)[0] == 0
    assert lightness(QImage(str(picture))) > 200
    assert settings_file.read_bytes() == before
    assert list(settings_file.parent.iterdir()) == [settings_file]


def test_picture_of_what_is_damaged(bundle: Path, tmp_path: Path) -> None:
    data_of(bundle).unlink()
    picture = tmp_path / "damaged.png"
    assert ckptviewer(bundle, "--screenshot", picture) == (0, "", "")
    assert picture.exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated"])
def test_picture_of_a_bad_path_is_one_line_and_2(kind: str, bundle: Path, tmp_path: Path) -> None:
    path = index_of(bundle)
    if kind == "missing":
        path = tmp_path / "no-such.index"
    elif kind == "empty":
        os.truncate(path, 0)
    elif kind == "text":
        path.write_text("words\n" * 100)
    else:
        os.truncate(path, 200)
    picture = tmp_path / "bad.png"
    status, out, err = ckptviewer("open", path, "--screenshot", picture)
    assert (status, out) == (2, "")
    assert err.startswith("ckptviewer: ")
    assert err.count("\n") == 1
    assert path.name in err
    assert not picture.exists()


def test_picture_that_cannot_be_written_is_one_line_and_2(tmp_path: Path) -> None:
    status, out, err = ckptviewer(
        "open", "--demo", "--screenshot", tmp_path / "no" / "such" / "folder.png"
    )
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "folder.png" in err


# The display


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize("display", [None, "", ":987", "no-such-host:0"])
def test_no_display_is_one_line_and_2(display: str | None) -> None:
    status, out, err = ckptviewer(
        "open", "--demo", QT_QPA_PLATFORM=None, WAYLAND_DISPLAY=None, DISPLAY=display
    )
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("ckptviewer: ")
    assert "display" in err
    assert "ckptviewer open --demo --screenshot demo.png" in err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_platform_that_is_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "vnc")
    prepare_platform(off_screen=False)
    assert os.environ["QT_QPA_PLATFORM"] == "vnc"
    monkeypatch.delenv("QT_QPA_PLATFORM")
    with pytest.raises(NoDisplayError):
        prepare_platform(off_screen=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "vnc")  # so that it is put back
    prepare_platform(off_screen=True)
    assert os.environ["QT_QPA_PLATFORM"] == "offscreen"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no X libraries")
def test_missing_library_of_the_display_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str) -> None:
        raise OSError("libxcb-cursor.so.0: cannot open shared object file: No such file")

    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(platform.ctypes, "CDLL", load)
    with pytest.raises(MissingSystemLibraryError) as raised:
        prepare_platform(off_screen=False)
    assert "libxcb-cursor.so.0" in str(raised.value)
    assert "apt-get install libxcb-cursor0" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("libEGL.so.1: cannot open shared object file: No such file or directory", "libegl1"),
        ("libGL.so.1: cannot open shared object file: No such file or directory", "libgl1"),
        (
            "libglib-2.0.so.0: cannot open shared object file: No such file or directory",
            "libglib2.0-0",
        ),
        ("libdbus-1.so.3: cannot open shared object file: No such file", "libdbus-1-3"),
        (
            "libxkbcommon.so.0: cannot open shared object file: No such file or directory",
            "libxkbcommon0",
        ),
    ],
)
def test_missing_library_of_qt_names_its_package(text: str, package: str) -> None:
    said = explain_import_error(ImportError(text))
    assert "\n" not in said
    assert text.split(":")[0] in said
    assert f"apt-get install {package}`" in said


def test_qt_does_not_look_into_what_other_threads_import() -> None:
    code = (
        "import builtins;"
        "from ckptviewer.ui.platform import load_binding; load_binding();"
        "import PySide6.QtWidgets, pyqtgraph;"
        "assert builtins.__import__ is not builtins.__dict__.get('__feature_import__')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_import_errors_are_explained() -> None:
    unknown = explain_import_error(
        ImportError("libodd.so.7: cannot open shared object file: No such file or directory")
    )
    assert "libodd.so.7" in unknown
    assert "None" not in unknown
    absent = explain_import_error(ModuleNotFoundError("No module named 'PySide6'", name="PySide6"))
    assert "pip install 'PySide6-Essentials>=" in absent
    broken = explain_import_error(ImportError("cannot import name 'x' from 'y'"))
    assert "cannot import name 'x'" in broken
    for said in (unknown, absent, broken):
        assert "\n" not in said


def test_every_library_has_a_package_name() -> None:
    for library, package in platform._PACKAGES.items():
        assert platform._MISSING.search(f"{library}: cannot open shared object file: No such file")
        assert package == package.lower()
        assert " " not in package


def test_absent_qt_is_one_line_and_2(tmp_path: Path) -> None:
    (tmp_path / "PySide6").mkdir()
    (tmp_path / "PySide6" / "__init__.py").write_text(
        "raise ImportError('libEGL.so.1: cannot open shared object file: No such file')\n"
    )
    status, out, err = ckptviewer(
        "open", "--demo", "--screenshot", tmp_path / "x.png", PYTHONPATH=str(tmp_path)
    )
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "apt-get install libegl1" in err


# Settings


def test_settings_lie_where_the_environment_says(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_path() == settings_file
    monkeypatch.delenv("CKPTVIEWER_SETTINGS")
    assert settings_path().name == "settings.json"
    assert "ckptviewer" in settings_path().parts


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b'{"recent_files": 3, "splitter": "wide"}',
     b'{"recent_files": [1, null, "a"], "theme": 7}', b"[" * 100_000],
    ids=lambda content: ascii(content[:20]),
)  # fmt: skip
def test_damaged_settings_mean_the_defaults(content: bytes, settings_file: Path) -> None:
    settings_file.parent.mkdir()
    settings_file.write_bytes(content)
    settings = Settings()
    assert settings.get("theme", "system") == "system"
    assert settings.get("splitter", []) == []
    assert settings.recent_files in ([], ["a"])
    settings.add_recent_file("b")
    settings.save()
    assert Settings().recent_files[0] == "b"


def test_settings_that_cannot_be_written_cost_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(tmp_path / "file" / "settings.json")
    settings.set("theme", "dark")
    settings.save()
    assert settings.get("theme", "") == "dark"
    settings = Settings(tmp_path)  # a directory
    settings.save()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
    assert not list(tmp_path.parent.glob("*.new"))


def test_recent_files_are_few_and_the_latest_first() -> None:
    settings = Settings()
    for number in range(MOST_RECENT_FILES + 5):
        settings.add_recent_file(f"/m-{number}")
    settings.add_recent_file("/m-10")
    assert settings.recent_files[0] == "/m-10"
    assert len(settings.recent_files) == MOST_RECENT_FILES == len(set(settings.recent_files))


def test_recent_path_that_is_no_utf8_is_remembered() -> None:
    settings = Settings()
    settings.add_recent_file("/caf\udce9/model.index")
    settings.save()
    assert Settings().recent_files == ["/caf\udce9/model.index"]
