"""Recipes are read as they were written, and wherever they lie."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.validation.plain import BadDescriptionError
from ckptviewer.validation.protocol import (
    DataKind,
    DataSpec,
    Feature,
    MetricsSpec,
    ModelKind,
    ModelSpec,
    Preprocessing,
)
from ckptviewer.validation.recipe import VERSION, Recipe, read_recipe, write_recipe


def full(directory: Path) -> Recipe:
    return Recipe(
        checkpoint=str(directory / "run" / "ckpt-3"),
        against=str(directory / "run" / "ckpt-2"),
        python="/usr/bin/python3",
        require=("accuracy>=0.9", "loss<=0.5"),
        agreement_threshold=0.95,
        statistics_threshold=1e-3,
        time_limit_seconds=60.0,
        memory_limit_bytes=4_000_000_000,
        model=ModelSpec(
            kind=ModelKind.FACTORY,
            path=str(directory / "nets.py") + ":build",
            custom_objects=str(directory / 'odd "name".py'),
            safe_mode=False,
            python_path=(str(directory),),
        ),
        data=DataSpec(
            kind=DataKind.TFRECORD,
            paths=(str(directory / "a.tfrecord"), str(directory / "b.tfrecord")),
            inputs={"picture in": "x/é"},
            target="y",
            batch_size=8,
            limit=100,
            preprocessing=(Preprocessing(key="x", scale=1 / 255), Preprocessing(dtype="float16")),
            features=(Feature(name="x", dtype="float32", shape=(8, 8, 1)),),
            image_size=(8, 9),
            class_names=("null", "eins"),
        ),
        metrics=MetricsSpec(names=("accuracy", "AUC"), from_logits=True, worst=3),
    )


@pytest.mark.parametrize("name", ["r.toml", "r.json", "recipe"])
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    recipe = full(tmp_path)
    write_recipe(recipe, tmp_path / name)
    assert read_recipe(tmp_path / name) == recipe
    write_recipe(recipe, tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["r.toml", "r.json"])
def test_paths_are_relative_to_the_recipe(name: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    write_recipe(full(here), here / name)
    assert str(tmp_path) not in (here / name).read_text()
    shutil.copytree(here, there)
    assert read_recipe(there / name) == full(there)


def test_a_recipe_is_short_where_little_is_said(tmp_path: Path) -> None:
    recipe = Recipe(
        checkpoint=str(tmp_path / "a"), model=ModelSpec(kind=ModelKind.KERAS, path=str(tmp_path))
    )
    write_recipe(recipe, tmp_path / "r.toml")
    text = (tmp_path / "r.toml").read_text()
    assert text.splitlines()[1:] == [
        f"version = {VERSION}", 'checkpoint = "a"', "", "[model]", 'kind = "keras"', 'path = "."',
    ]  # fmt: skip
    assert read_recipe(tmp_path / "r.toml") == recipe


def test_names_of_modules_and_programs_are_no_paths(tmp_path: Path) -> None:
    recipe = Recipe(
        checkpoint=str(tmp_path / "a"),
        python="python3.11",
        model=ModelSpec(kind=ModelKind.FACTORY, path="package.nets:build"),
    )
    write_recipe(recipe, tmp_path / "r.toml")
    read = read_recipe(tmp_path / "r.toml")
    assert read.model.path == "package.nets:build"
    assert read.python == "python3.11"


GOOD = 'checkpoint = "a"\n[model]\nkind = "keras"\npath = "m"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing"),
        ("[model", "no recipe"),
        ("{", "no recipe"),
        ("[1]", "there is no '1'"),
        ("\xff", "missing|no recipe"),
        (GOOD + "colour = 1\n", "colour"),
        ("version = 99\n" + GOOD, "version"),
        ("version = true\n" + GOOD, "version"),
        (GOOD.replace("keras", "torch"), "none of"),
        ("agreement_threshold = 'much'\n" + GOOD, "a number is needed"),
        ("require = ['good']\n" + GOOD, "METRIC>=NUMBER"),
        (GOOD + '[data]\nkind = "npz"\nbatch_size = "many"\n', "data.batch_size"),
    ],
)
def test_what_is_no_recipe_is_told(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(CkptviewerError) as raised:
        read_recipe(tmp_path / "r.toml")
    assert any(word in str(raised.value) for word in expected.split("|"))


def test_a_number_beyond_all_floats_is_told(tmp_path: Path) -> None:
    recipe = tmp_path / "x.json"
    recipe.write_text('{"checkpoint": "x", "time_limit_seconds": 1' + "0" * 400 + "}")
    with pytest.raises(BadDescriptionError, match=r"time_limit_seconds.*a number"):
        read_recipe(recipe)


@pytest.mark.parametrize(
    "text",
    [f"statistics_threshold = {word}\n{GOOD}" for word in ("inf", "-inf", "nan", "1e999")]
    + [f'{{"time_limit_seconds": {word}}}' for word in ("Infinity", "NaN", "1e999", "-1e999")],
)
def test_a_number_that_is_not_finite_is_refused(text: str, tmp_path: Path) -> None:
    """Within a threshold without end all is well; and JSON's words for it are not TOML's."""
    (tmp_path / "recipe").write_text(text)
    with pytest.raises(BadDescriptionError, match="no finite number"):
        read_recipe(tmp_path / "recipe")


@pytest.mark.parametrize(
    "where",
    [
        "version",
        "time_limit_seconds",
        "memory_limit_bytes",
        "checkpoint",
        "model.kind",
        "data.limit",
    ],
)
def test_a_whole_number_of_any_length_is_told(where: str, tmp_path: Path) -> None:
    """TOML's hexadecimal ones have no end, and Python does not write what has more digits."""
    table, _, name = where.rpartition(".")
    recipe = tmp_path / "x.toml"
    recipe.write_text(f"{f'[{table}]' if table else ''}\n{name} = 0x{'f' * 8000}\n")
    with pytest.raises(BadDescriptionError) as raised:
        read_recipe(recipe)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 300


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_recipe(tmp_path / "r.toml")
    with pytest.raises(OSError, match="cannot be read"):
        read_recipe(tmp_path)
    recipe = full(tmp_path)
    with pytest.raises(OSError, match="cannot be written"):
        write_recipe(recipe, tmp_path / "nowhere" / "r.toml")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_recipe_or_one_error(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "r.toml"
        path.write_bytes(content)
        with pytest.raises(BadDescriptionError):
            read_recipe(path)


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(st.dictionaries(texts, texts, max_size=3), st.lists(texts, max_size=3), st.floats(0, 1))
def test_any_words_survive(inputs: dict[str, str], names: list[str], share: float) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        recipe = Recipe(
            checkpoint=str(Path(directory) / "a"),
            agreement_threshold=share,
            model=ModelSpec(kind=ModelKind.FACTORY, path="a:b", tags=tuple(names)),
            data=DataSpec(kind=DataKind.RANDOM, inputs=inputs, class_names=tuple(names)),
        )
        for name in ("r.toml", "r.json"):
            write_recipe(recipe, Path(directory) / name)
            assert read_recipe(Path(directory) / name) == recipe


def test_thresholds_are_those_that_are_said(tmp_path: Path) -> None:
    thresholds: Any = full(tmp_path).thresholds
    assert thresholds.agreement == 0.95
    assert [each.metric for each in thresholds.requirements] == ["accuracy", "loss"]


def test_the_recipe_in_the_documentation_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "resources" / "docs" / "validate.md"
    (text,) = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    (tmp_path / "r.toml").write_text(text)
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.metrics.names == ("accuracy",)
    for known in (Recipe, ModelSpec, DataSpec, MetricsSpec):
        for field in fields(known):
            assert f"`{field.name}`" in page.read_text() or field.name in text, field.name
