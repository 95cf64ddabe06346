"""Finds the Pythons that are likely to have TensorFlow, and asks each what it has.

The one in which a model was trained has its TensorFlow and its custom layers; a frozen application
has no interpreter of its own at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.validation.launcher import default_python
from ckptviewer.validation.processes import clean_environment

ASK_SECONDS = 10.0
OLDEST = (3, 9)
_MOST_FOUND = 64
_ENVIRONMENT_NAMES = (".venv", "venv", "env", ".env")
_VERSIONS = range(9, 16)

# Parsed by every Python, however old; asks what is installed and imports none of it.
_QUESTION = """
import sys
sys.path[:] = [place for place in sys.path if place]  # nothing of the directory we are in
found = {"python": "%d.%d.%d" % tuple(sys.version_info[:3]), "version": list(sys.version_info[:2])}
def version(*names):
    for name in names:
        try:
            return metadata.version(name)
        except Exception:
            pass
try:
    from importlib import metadata
    found["numpy"] = version("numpy")
    found["tensorflow"] = version("tensorflow", "tensorflow-cpu", "tensorflow-macos",
                                  "tensorflow-intel", "tf-nightly", "intel-tensorflow")
    found["keras"] = version("keras")
    found["tf_keras"] = version("tf-keras", "tf_keras")
except ImportError:
    pass
import json
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One Python.

    path: of its executable. origin: how it was found ("the active environment", "pyenv").
    python, numpy, tensorflow, keras, tf_keras: versions; empty where it does not have it.
    problem: why models cannot run under it, one sentence; empty where they can.
    """

    path: str
    origin: str
    python: str = ""
    numpy: str = ""
    tensorflow: str = ""
    keras: str = ""
    tf_keras: str = ""
    problem: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it can run models."""
        return not self.problem

    @property
    def title(self) -> str:
        """For a list: "Python 3.11.7, TensorFlow 2.21.0"."""
        parts = [f"Python {self.python}" if self.python else "Python"]
        if self.tensorflow:
            parts.append(f"TensorFlow {self.tensorflow}")
        return ", ".join(parts)


def find_interpreters(
    *,
    near: Iterable[str | os.PathLike[str]] = (),
    pool: Executor | None = None,
    cancel: CancelToken | None = None,
    timeout_seconds: float = ASK_SECONDS,
) -> list[Interpreter]:
    """The Pythons of this machine, those that can run models first; each was asked.

    near: files and directories of the user's, beside which environments are looked for.
    pool: asks several at a time. Raises Cancelled.
    """
    token = cancel or CancelToken()
    found = list(candidates(near))[:_MOST_FOUND]

    def ask(candidate: tuple[str, str]) -> Interpreter:
        token.raise_if_cancelled()
        return ask_interpreter(candidate[0], candidate[1], timeout_seconds=timeout_seconds)

    asked = list(pool.map(ask, found) if pool is not None else map(ask, found))
    # Sorting is stable: among those that can, the likeliest stays first.
    return sorted(asked, key=lambda each: not each.is_usable)


def ask_interpreter(
    path: str, origin: str = "chosen", *, timeout_seconds: float = ASK_SECONDS
) -> Interpreter:
    """What a Python has, without importing it. Never raises: what is wrong becomes its problem."""
    try:
        done = subprocess.run(
            [path, "-c", _QUESTION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
            env=clean_environment({}),
        )
    except subprocess.TimeoutExpired:
        problem = f"It did not answer within {timeout_seconds:g} seconds."
        return Interpreter(path=path, origin=origin, problem=problem)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        return Interpreter(path=path, origin=origin, problem=f"It cannot be started: {said}.")
    try:
        plain = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
        known = {
            name: str(plain.get(name) or "")
            for name in ("python", "numpy", "tensorflow", "keras", "tf_keras")
        }
        version = tuple(int(each) for each in plain["version"])
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        return Interpreter(path=path, origin=origin, problem="It is no Python that answers.")
    return Interpreter(path=path, origin=origin, problem=_problem(known, version), **known)


def _problem(known: dict[str, str], version: tuple[int, ...]) -> str:
    if version < OLDEST:
        return f"Python {known['python']} is too old: 3.9 or later is needed."
    if not known["tensorflow"]:
        return "It has no TensorFlow."
    if known["tensorflow"].split(".")[0] in ("0", "1"):
        return f"TensorFlow {known['tensorflow']} is too old: 2.x is needed."
    return ""


def candidates(near: Iterable[str | os.PathLike[str]] = ()) -> Iterator[tuple[str, str]]:
    """Executables that may be Pythons, each once, the likeliest first, with their origin."""
    seen: set[str] = set()
    for path, origin in _places(near):
        # Not the link's end alone: the Python of a virtual environment is a link to its base.
        directory = os.path.dirname(os.path.abspath(path))
        key = os.path.normcase(f"{os.path.realpath(directory)} {os.path.realpath(path)}")
        try:
            usable = os.path.isfile(path) and os.access(path, os.X_OK)
        except ValueError:
            continue
        if usable and key not in seen:
            seen.add(key)
            yield os.path.abspath(path), origin


def _places(near: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[str, str]]:
    own = default_python()
    if own:
        yield own, "this program's own"
    for variable, origin in (
        ("VIRTUAL_ENV", "the active environment"),
        ("CONDA_PREFIX", "the active conda environment"),
    ):
        if directory := os.environ.get(variable):
            yield _python_in(directory), origin
    for directory in _around([*near, os.getcwd()]):
        for name in _ENVIRONMENT_NAMES:
            yield _python_in(os.path.join(directory, name)), f"environment in {directory}"
    yield from _collections()
    yield from _on_path()


def _around(places: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """The directories of these places and those above them, short of the home directory's own."""
    home = Path.home()
    seen: set[Path] = set()
    for place in places:
        with suppress(OSError, ValueError):
            path = Path(os.path.abspath(place))
            for directory in (path, *path.parents):
                if directory in seen or directory == home.parent or directory.parent == directory:
                    break
                seen.add(directory)
                yield str(directory)


def _python_in(environment: str) -> str:
    """The executable of a virtual or conda environment."""
    if os.name == "nt":
        inside = os.path.join(environment, "Scripts", "python.exe")
        return inside if os.path.isfile(inside) else os.path.join(environment, "python.exe")
    return os.path.join(environment, "bin", "python")


def _collections() -> Iterator[tuple[str, str]]:
    """Environments where the usual tools keep them."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    folders = [
        (pyenv / "versions", "pyenv"),
        (Path(os.environ.get("WORKON_HOME") or home / ".virtualenvs"), "virtualenvwrapper"),
        (home / ".venvs", "a virtual environment"),
        (home / "venvs", "a virtual environment"),
        (home / ".cache/pypoetry/virtualenvs", "poetry"),
        (home / "Library/Caches/pypoetry/virtualenvs", "poetry"),
        (home / ".local/share/virtualenvs", "pipenv"),
    ]
    for name in ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba"):
        yield _python_in(str(home / name)), "conda"
        folders.append((home / name / "envs", "conda"))
    with suppress(OSError, UnicodeError):
        for line in (home / ".conda/environments.txt").read_text().splitlines()[:_MOST_FOUND]:
            if line.strip():
                yield _python_in(line.strip()), "conda"
    for folder, origin in folders:
        with suppress(OSError):
            for name in sorted(os.listdir(folder), reverse=True)[:_MOST_FOUND]:
                yield _python_in(str(folder / name)), origin


def _on_path() -> Iterator[tuple[str, str]]:
    names = ["python3", "python", *(f"python3.{minor}" for minor in _VERSIONS)]
    if os.name == "nt":
        names = ["python.exe"]
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        # Shims of pyenv start whichever version the directory asks for.
        if not directory or Path(directory).name == "shims" or "WindowsApps" in directory:
            continue
        for name in names:
            yield os.path.join(directory, name), "the search path"
    if sys.platform == "darwin":
        for minor in _VERSIONS:
            framework = f"/Library/Frameworks/Python.framework/Versions/3.{minor}/bin/python3"
            yield framework, "python.org"
