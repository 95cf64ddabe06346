"""What the window proposes for an export, and what is typed into its fields."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import BadRuleError, UnwritableFileError
from ckptviewer.checkpoint.variable import Role
from ckptviewer.export.choices import CastRule, Preset
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.ui.proposals import look_at, parse_patterns, proposed_choices, proposed_path


@pytest.mark.parametrize(
    ("entry", "preset", "format_name", "proposed"),
    [
        ("onx_regression_ckpt", Preset.ALL, "tf-bundle", "onx_regression_ckpt/model-copy"),
        ("onx_regression_sm", Preset.ALL, "tf-bundle", "onx_regression_sm-copy"),
        ("onx_regression_sm/variables", Preset.ALL, "tf-bundle", "onx_regression_sm-copy"),
        (
            "t2t_transformer_2shard",
            Preset.INFERENCE,
            "tf-bundle",
            "t2t_transformer_2shard/model.ckpt-1-inference",
        ),
        (
            "fer_hdf5/emotion_model.hdf5",
            Preset.INFERENCE,
            "keras-weights-h5",
            "fer_hdf5/emotion_model-inference.weights.h5",
        ),
    ],
)
def test_real_files_get_a_preset_a_format_and_a_place(
    corpus: Path, tmp_path: Path, entry: str, preset: Preset, format_name: str, proposed: str
) -> None:
    top = entry.split("/", maxsplit=1)[0]
    shutil.copytree(corpus / top, tmp_path / top)
    with open_checkpoint(tmp_path / entry) as checkpoint:
        choices = proposed_choices(checkpoint)
        assert (choices.preset, choices.format) == (preset, format_name)
        assert proposed_path(checkpoint, choices) == str(tmp_path / proposed)


def test_a_proposed_place_is_free_and_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, a=np.zeros(3))
    with open_checkpoint(path) as checkpoint:
        choices = proposed_choices(checkpoint)
        assert proposed_path(checkpoint, choices) == str(tmp_path / "m-copy.npz")
        (tmp_path / "m-copy.npz").touch()
        assert proposed_path(checkpoint, choices) == str(tmp_path / "m-copy-2.npz")
        other = replace(choices, format="safetensors")
        assert proposed_path(checkpoint, other) == str(tmp_path / "m.safetensors")
        cast = replace(choices, preset=Preset.INFERENCE, cast=CastRule(dtype="float16"))
        assert proposed_path(checkpoint, cast) == str(tmp_path / "m-inference-float16.npz")


def test_patterns_are_globs_expressions_roles_and_dtypes() -> None:
    found = parse_patterns(
        'encoder/* "two words" /layer_\\d+/ role:weight,bias dtype:float32', "head/* /^ema/"
    )
    assert found.include == ("encoder/*", "two words")
    assert found.include_regex == ("layer_\\d+",)
    assert found.roles == {Role.WEIGHT, Role.BIAS}
    assert found.dtypes == {"float32"}
    assert found.exclude == ("head/*",)
    assert found.exclude_regex == ("^ema",)


@pytest.mark.parametrize("text", ["/(/", "role:wight", "dtype:float33"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadRuleError):
        parse_patterns(text, "")


def test_roles_are_not_left_out_by_pattern() -> None:
    with pytest.raises(BadRuleError, match="say what is kept"):
        parse_patterns("", "role:weight")


def test_looking_at_a_place_never_raises(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, a=np.zeros(3))
    with open_checkpoint(path) as checkpoint:
        assert look_at(checkpoint, "x", "npz").path == str(tmp_path / "x.npz")
        assert look_at(checkpoint, "m", "npz").problem is not None
        for typed in ("", " ", "a\0b", "no/such/x", str(tmp_path), "s3://bucket/x"):
            assert isinstance(look_at(checkpoint, typed, "npz").problem, Exception), typed
        assert isinstance(look_at(checkpoint, "", "npz").problem, UnwritableFileError)
