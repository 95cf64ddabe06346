"""What is installed is what was promised, and README's lines are the ones that CI runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")

REPORT = """
import sys
import ckptviewer
from ckptviewer.resources import demo_checkpoint, resource
print(ckptviewer.__file__)
print(resource("icons/ckptviewer.svg"))
print(demo_checkpoint())
print("numpy" in sys.modules)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the checkout builds."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", os.fspath(directory)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (built,) = directory.glob("*.whl")
    return built


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def command_ending_in(end: str) -> str:
    lines = [line for line in README.splitlines() if line.endswith(f"&& .venv/bin/{end}")]
    assert len(lines) == 1
    return lines[0]


def third_party_imports() -> set[str]:
    """Top-level names that the package imports, beyond itself and the standard library."""
    names: set[str] = set()
    for path in sorted((CHECKOUT / "ckptviewer").rglob("*.py")):
        if "worker" in path.parts:
            continue  # runs in an interpreter of its own
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"ckptviewer"}


def test_wheel_has_the_package_its_resources_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    data = "ckptviewer/resources-data"
    assert f"{data}/icons/ckptviewer.svg" in names
    assert f"{data}/demo/digits.ckpt-600.index" in names
    assert f"{data}/docs/findings.md" in names
    assert "ckptviewer/formats/tf_bundle.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ckptviewer"}
    assert not [name for name in names if name.startswith(data) and name.endswith(".py")]


def test_resources_are_found_in_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", os.fspath(target)]
    subprocess.run([sys.executable, "-m", "pip", *install, os.fspath(wheel)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.fspath(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    package, icon, demo, has_numpy = done.stdout.splitlines()
    assert Path(package).is_relative_to(target)
    for path in (Path(icon), Path(f"{demo}.index")):
        assert path.is_file()
        assert path.is_relative_to(target)
    assert has_numpy == "False", "looking for an icon must not cost the import of NumPy"


def test_entry_points_start_the_program(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(name).decode()
    assert text.split("[gui_scripts]")[0].count("ckptviewer = ckptviewer.__main__:main") == 1
    assert "ckptviewer-window = ckptviewer.__main__:main" in text.split("[gui_scripts]")[1]


def test_dependencies_are_those_that_are_imported() -> None:
    declared = {
        normal(re.split(r"[<>=!~; \[]", requirement)[0])
        for requirement in PYPROJECT["project"]["dependencies"]
    }
    distributions = packages_distributions()
    imported: set[str] = set()
    for module in third_party_imports():
        candidates = {normal(name) for name in distributions.get(module, [module])}
        imported |= candidates & declared or candidates
    assert imported == declared


@pytest.mark.parametrize(
    ("end", "extra"), [("ckptviewer open --demo", "tensorflow"), ("pytest", "test")]
)
def test_readme_commands(end: str, extra: str) -> None:
    command = command_ending_in(end)
    assert f"pip install -e '.[{extra}]'" in command
    assert extra in PYPROJECT["project"]["optional-dependencies"]
    # Works for root, who has no sudo on a bare system, as well as for others.
    assert "sudo" not in command.replace("$(command -v sudo)", "")


def test_readme_commands_need_the_same_system_libraries() -> None:
    wanted = [
        set(re.findall(r"\blib[a-z0-9.+-]+|\bpython3-venv\b", command_ending_in(end)))
        for end in ("ckptviewer open --demo", "pytest")
    ]
    assert wanted[0] == wanted[1]
    assert {"python3-venv", "libegl1", "libxcb-cursor0"} <= wanted[0]


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_ci_refuses_to_run_without_the_corpus(tmp_path: Path) -> None:
    missing = tmp_path / "no-corpus"
    environment = os.environ | {"CI": "true", "CKPTVIEWER_CORPUS": os.fspath(missing)}
    done = subprocess.run(
        [os.fspath(CHECKOUT / ".ci" / "run")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert os.fspath(missing) in done.stderr
