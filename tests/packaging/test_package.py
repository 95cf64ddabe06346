"""What packages are made of: documents of each system, the Debian package, the shipped loops."""

from __future__ import annotations

import ast
import os
import plistlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from packaging.requirements import Requirement

from ckptviewer.analysis import difference_numpy, kernel, kernel_numpy, kernel_shipped
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.difference_sums import PairSums
from tests.packaging.conftest import CHECKOUT

Script = Callable[[str], ModuleType]


# macOS and Windows: what can be said of them from here


def test_macos_is_told_of_all_extensions(script: Script) -> None:
    told = plistlib.loads(plistlib.dumps(script("packaging/documents.py").info_plist()))
    ranks = {
        extension: kind["LSHandlerRank"]
        for kind in told["CFBundleDocumentTypes"]
        for extension in kind.get("CFBundleTypeExtensions", ())
    }
    for extension in ("index", "data-00000-of-00001", "ckpt", "meta", "keras", "safetensors"):
        assert ranks[extension] == "Owner"
    for extension in ("h5", "hdf5", "npz", "pb"):
        assert ranks[extension] == "Alternate"


def test_windows_is_told_of_all_extensions_in_one_file(script: Script) -> None:
    documents = script("packaging/documents.py")
    program = r"C:\Program Files\ckptviewer\ckptviewer.exe"
    text = documents.registry_file(program)
    assert text.startswith("Windows Registry Editor Version 5.00\r\n")
    assert r'@="\"C:\\Program Files\\ckptviewer\\ckptviewer.exe\" open \"%1\""' in text
    for extension in ("index", "keras", "safetensors", "data-00000-of-00001", "h5"):
        assert rf"[HKEY_CURRENT_USER\Software\Classes\.{extension}\OpenWithProgids]" in text
    # What many programs open keeps its program.
    defaults = [key for key, name, value in documents.registry(program)
                if value == documents.PROG_ID and not name]  # fmt: skip
    assert any(key.endswith(".index") for key in defaults)
    assert not any(key.endswith((".h5", ".npz", ".pb")) for key in defaults)


# Debian


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is missing")
def test_package_has_everything_in_its_place(script: Script, tmp_path: Path) -> None:
    building = script("packaging/build_deb.py")
    program = tmp_path / "frozen"
    (program / "_internal").mkdir(parents=True)
    (program / "ckptviewer").write_text("#!/bin/sh\necho started\n")
    (program / "_internal" / "data").write_bytes(b"x" * 5000)
    root = tmp_path / "root"
    building.assemble(Path(sys.executable), program, root)
    package = building.pack(root, tmp_path / "dist")
    version = building.version()
    assert package.name.startswith(f"ckptviewer_{version}_")

    out = tmp_path / "out"
    subprocess.run(["dpkg-deb", "--raw-extract", package, out], check=True)
    assert (out / "usr/bin/ckptviewer").resolve() == out / "usr/lib/ckptviewer/ckptviewer"
    done = subprocess.run([out / "usr/bin/ckptviewer"], capture_output=True, text=True, check=True)
    assert done.stdout == "started\n"
    for place in (
        "usr/share/applications/ckptviewer.desktop",
        "usr/share/mime/packages/ckptviewer-mime.xml",
        "usr/share/metainfo/org.ckptviewer.ckptviewer.metainfo.xml",
        "usr/share/icons/hicolor/48x48/apps/ckptviewer.png",
        "usr/share/icons/hicolor/scalable/mimetypes/ckptviewer-document.svg",
        "usr/share/kio/servicemenus/ckptviewer-compare.desktop",
        "usr/share/nemo/actions/ckptviewer-directory.nemo_action",
        "usr/share/file-manager/actions/ckptviewer-compare.desktop",
        "usr/share/doc/ckptviewer/copyright",
        "usr/share/man/man1/ckptviewer.1.gz",
    ):
        assert (out / place).is_file(), place
        assert (out / place).stat().st_mode & 0o777 == 0o644
    listed = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout
    assert all(line.split()[1] == "root/root" for line in listed.splitlines())
    assert {line.split()[5].split("/")[1] for line in listed.splitlines()} == {"", "usr"}
    depends = subprocess.run(
        ["dpkg-deb", "--field", package, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    for needed in ("libxcb-cursor0", "libegl1", "libfile-mimeinfo-perl", "xdg-utils"):
        assert needed in depends


def test_package_asks_for_every_library_that_qt_may_miss() -> None:
    from ckptviewer.ui.platform import _PACKAGES

    control = (CHECKOUT / "packaging" / "debian" / "control").read_text(encoding="utf-8")
    depends = next(line for line in control.splitlines() if line.startswith("Depends:"))
    names = {word.strip(",") for word in depends.split()}
    # No part of Qt that is shipped is linked with these.
    assert set(_PACKAGES.values()) - names <= {"libzstd1", "libglx0"}


def left_out_by_the_recipe() -> list[str]:
    """The modules that the frozen program does without."""
    recipe = ast.parse((CHECKOUT / "packaging" / "ckptviewer.spec").read_text(encoding="utf-8"))
    (names,) = (
        ast.literal_eval(node.value)
        for node in recipe.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NOT_OURS"
    )
    return list(names)


def test_frozen_program_has_every_library_that_it_or_one_of_them_needs() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names: set[str] = set()
    asked = [Requirement(line) for line in project["dependencies"]]
    while asked:
        needed = asked.pop()
        if needed.name in names or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        names.add(needed.name)
        asked += map(Requirement, requires(needed.name) or ())
    assert {"h5py", "pyfive", "numpy"} <= names
    # Shipped loops are in the place of these.
    assert names & set(left_out_by_the_recipe()) == {"numba", "llvmlite"}


IMPORT_ALL = """
import sys
from importlib import import_module
from pkgutil import walk_packages

left_out = sys.argv[1:]

class LeftOut:
    def find_spec(name, path=None, target=None):
        if any(name == other or name.startswith(other + ".") for other in left_out):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, LeftOut)
import ckptviewer
for module in walk_packages(ckptviewer.__path__, "ckptviewer."):
    if "ckptviewer.validation.worker" not in module.name and module.name not in left_out:
        import_module(module.name)
for name in ("h5py", "pyfive", "pyqtgraph", "send2trash"):  # which functions import
    import_module(name)
print(*(name for name in sys.modules if name.startswith("PySide6.Qt")))
"""


def test_frozen_program_can_import_what_it_may_come_to_need() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, *left_out_by_the_recipe()],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"}, cwd=CHECKOUT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # pyqtgraph names these in texts, which PyInstaller does not see.
    recipe = (CHECKOUT / "packaging" / "ckptviewer.spec").read_text(encoding="utf-8")
    for name in ("PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets"):
        assert name in done.stdout.split()
        assert f'"{name}"' in recipe


def test_scripts_of_the_trial_are_sound() -> None:
    for name in ("trial.sh", "trial_inside.sh"):
        path = CHECKOUT / "packaging" / name
        subprocess.run(["bash", "-n", path], check=True)
        assert os.access(path, os.X_OK)


# The loops that the application brings along


def test_kind_of_processor_is_chosen_by_what_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    fourth, third = "x86-64-v4", "x86-64-v3"
    monkeypatch.setattr(kernel_shipped, "KINDS", (fourth, third))
    all_of, enough = kernel_shipped._NEEDS[fourth], kernel_shipped._NEEDS[third]
    assert kernel_shipped.usable(all_of | {"more"}) == [fourth, third]
    assert kernel_shipped.usable(enough | {"more"}) == [third]
    for missing in all_of:
        assert kernel_shipped.usable(all_of - {missing}) == (
            [third] if missing not in enough else []
        )
    assert kernel_shipped.usable(set()) == []


def test_checkout_brings_none_along() -> None:
    assert kernel_shipped.load() is None
    assert kernel_shipped.load_pairs() is None
    assert kernel_shipped.load_updates() is None


@pytest.mark.slow
@pytest.mark.skipif(
    not kernel_shipped.usable(kernel_shipped.processor_flags()) or shutil.which("ld") is None,
    reason="no such processor, or no linker",
)
def test_shipped_loops_do_what_the_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, CHECKOUT / "packaging" / "compile_kernels.py", tmp_path],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = {path.name: path for path in tmp_path.glob("*.so")}
    loops = ("statistics", "comparison", "updates")
    assert set(paths) == {f"{each}-{kind}.so" for each in loops for kind in kernel_shipped.KINDS}
    for path in paths.values():
        assert str(path) in done.stdout
        assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(kernel_shipped, "resource", lambda _name: tmp_path)
    for kind in kernel_shipped.usable(kernel_shipped.processor_flags()):
        monkeypatch.setattr(kernel_shipped, "KINDS", (kind,))
        _require_right_loops()


def _require_right_loops() -> None:
    shipped, pairs = kernel_shipped.load(), kernel_shipped.load_pairs()
    assert shipped is not None
    assert pairs is not None
    updates = kernel_shipped.load_updates()
    assert updates is not None
    updates.prove()
    random = np.random.default_rng(7)
    values = random.standard_normal(100_003).astype(np.float32)
    values[[5, 50, 500]] = np.nan, np.inf, 0
    for dtype, buckets in ((np.float32, 1 << 16), (np.float64, 1 << 20)):
        ours = kernel.Sums(np.zeros(buckets, np.uint32))
        theirs = kernel.Sums(np.zeros(buckets, np.uint32))
        shipped.accumulate(values.astype(dtype), ours)
        kernel_numpy.accumulate(values.astype(dtype), theirs)
        np.testing.assert_array_equal(ours.table, theirs.table)
        assert (ours.nan, ours.pos_inf, ours.zero) == (theirs.nan, theirs.pos_inf, theirs.zero)
        assert (ours.low, ours.high) == (theirs.low, theirs.high)
        np.testing.assert_allclose(ours.state, theirs.state, rtol=1e-9, atol=1e-6)

    a = random.standard_normal(100_003).astype(np.float32)
    b = np.where(random.random(a.size) < 0.5, a, a + np.float32(0.25))
    ours, theirs = PairSums(), PairSums()
    assert pairs.add(a, b, ours, Tolerance()) == a.size
    difference_numpy.add(a, b, theirs, Tolerance())
    assert (ours.pairs, ours.unequal) == (theirs.pairs, theirs.unequal)
    assert ours.max_abs == theirs.max_abs
    np.testing.assert_allclose(ours.square_d, theirs.square_d, rtol=1e-9)
