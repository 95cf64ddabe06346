"""Recipes: a validation as a file that people read, keep beside their code, and rerun in CI.

TOML or JSON, by the file's extension. Paths in it are relative to the recipe, so that a directory
can be moved as a whole. What is left out has its default.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ckptviewer.checkpoint.errors import PathNotFoundError, UnreadableFileError, UnwritableFileError
from ckptviewer.validation.plain import BadDescriptionError, from_plain, shown, to_plain
from ckptviewer.validation.protocol import DataSpec, MetricsSpec, ModelKind, ModelSpec
from ckptviewer.validation.verdict import (
    AGREEMENT_THRESHOLD,
    STATISTICS_THRESHOLD,
    Thresholds,
    parse_requirement,
)

VERSION = 1
_MAX_BYTES = 4 << 20
_HEADER = (
    "# A validation of ckptviewer: run it with `ckptviewer validate --recipe` and this file.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A validation to run.

    checkpoint, against: paths. model, data, metrics: as the worker is asked.
    require: metrics to reach ("accuracy>=0.95"). agreement_threshold, statistics_threshold: as of
    Thresholds. python: the interpreter to run the worker in; "" for the one we run in.
    time_limit_seconds, memory_limit_bytes: of the worker; None for the program's own.
    """

    version: int = VERSION
    checkpoint: str
    against: str = ""
    python: str = ""
    require: tuple[str, ...] = ()
    agreement_threshold: float = AGREEMENT_THRESHOLD
    statistics_threshold: float = STATISTICS_THRESHOLD
    time_limit_seconds: float | None = None
    memory_limit_bytes: int | None = None
    model: ModelSpec
    data: DataSpec | None = None
    metrics: MetricsSpec = field(default_factory=MetricsSpec)

    @property
    def thresholds(self) -> Thresholds:
        """What has to be reached. Raises BadRequirementError."""
        return Thresholds(
            agreement=self.agreement_threshold,
            statistics=self.statistics_threshold,
            requirements=tuple(map(parse_requirement, self.require)),
        )


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in the file at `path`, its paths made whole.

    Raises PathNotFoundError, UnreadableFileError, BadDescriptionError (not TOML or JSON, an
    unknown word, a value of the wrong kind, a later version), BadRequirementError.
    """
    file = Path(path)
    try:
        with open(file, "rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise PathNotFoundError("there is no such recipe", where=str(file)) from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"it cannot be read: {error}", where=str(file)) from error
    plain = _parsed(content, file)
    version = plain.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version > VERSION:
        raise BadDescriptionError(
            f"its version is {shown(version)}, and this program knows {VERSION}",
            where=str(file),
            remedy="Update ckptviewer.",
        )
    try:
        recipe = from_plain(Recipe, plain)
    except BadDescriptionError as error:
        raise BadDescriptionError(
            error.what, where=f"{file}: {error.where}".rstrip(": "), remedy=error.remedy
        ) from None
    recipe.thresholds  # noqa: B018 - raises for what is no requirement
    directory = file.absolute().parent
    return _with_paths(recipe, lambda each: os.path.normpath(directory / each))


def write_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write the recipe, TOML unless the name ends in `.json`; an older one is replaced whole.

    Raises UnwritableFileError.
    """
    file = Path(path)
    directory = file.absolute().parent
    plain = _sparse(_with_paths(recipe, lambda each: _relative(each, directory)))
    plain = {"version": recipe.version} | plain
    if file.suffix == ".json":
        text = json.dumps(plain, indent=2) + "\n"
    else:
        text = _HEADER + _toml(plain)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, file)
    except (OSError, ValueError) as error:
        aside.unlink(missing_ok=True)
        raise UnwritableFileError(
            f"the recipe cannot be written: {error}", where=str(file)
        ) from error


def _parsed(content: bytes, file: Path) -> dict[str, Any]:
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        text = content.decode("utf-8")
        if text.lstrip()[:1] == "{":
            plain = json.loads(text, parse_float=_finite, parse_constant=_finite)
        else:
            plain = tomllib.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadDescriptionError(
            f"it is no recipe: {error}", where=str(file), remedy="Recipes are TOML or JSON."
        ) from error
    if not isinstance(plain, dict):
        raise BadDescriptionError("it is no recipe", where=str(file))
    return plain


def _finite(text: str) -> float:
    """The number in `text`: beyond an infinite threshold everything is well, or nothing is."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shown(text)} is no finite number")
    return number


def _with_paths(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    """The recipe with `change` done to each of its paths."""

    def changed(path: str) -> str:
        return change(path) if path else path

    model = recipe.model
    path = model.path
    if model.kind is ModelKind.FACTORY:
        file, colon, function = path.rpartition(":")
        if file.endswith(".py"):
            path = changed(file) + colon + function
    else:
        path = changed(path)
    data = recipe.data
    if data is not None:
        data = replace(data, paths=tuple(map(changed, data.paths)))
    # A bare name is looked for where programs are, as a shell does.
    has_directory = os.sep in recipe.python or "/" in recipe.python
    return replace(
        recipe,
        checkpoint=changed(recipe.checkpoint),
        against=changed(recipe.against),
        python=_interpreter(recipe.python, change) if has_directory else recipe.python,
        model=replace(
            model,
            path=path,
            custom_objects=changed(model.custom_objects),
            python_path=tuple(map(changed, model.python_path)),
        ),
        data=data,
        metrics=replace(recipe.metrics, predictions_path=changed(recipe.metrics.predictions_path)),
    )


def _interpreter(path: str, change: Callable[[str], str]) -> str:
    """An absolute path of an interpreter stays: it belongs to the machine, not to the recipe."""
    return path if os.path.isabs(path) else change(path)


def _relative(path: str, directory: Path) -> str:
    try:
        return Path(os.path.relpath(path, directory)).as_posix()
    except ValueError:  # another drive
        return path


def _sparse(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, plain."""
    found: dict[str, Any] = {}
    for each in fields(value):
        inner = getattr(value, each.name)
        if inner is None or inner == _default(each):
            continue
        if is_dataclass(inner):
            found[each.name] = _sparse(inner)
        elif isinstance(inner, tuple) and inner and is_dataclass(inner[0]):
            found[each.name] = [_sparse(item) for item in inner]
        else:
            found[each.name] = to_plain(inner)
    return found


def _default(each: Field[Any]) -> Any:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _toml(table: Mapping[str, Any], name: str = "") -> str:
    """A table of TOML: plain values first, then the tables in it."""
    lines = []
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _is_tables(value):
            lines.append(f"{_key(key)} = {_value(value)}\n")
    for key, value in table.items():
        inner = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, Mapping):
            lines.append(f"\n[{inner}]\n{_toml(value, inner)}")
        elif _is_tables(value):
            lines += [f"\n[[{inner}]]\n{_toml(each, inner)}" for each in value]
    return "".join(lines)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for the delete character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
