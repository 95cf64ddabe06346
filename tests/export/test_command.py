"""Copy as command line: what is copied means the same choices."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.renaming import parse_rule, rename
from ckptviewer.checkpoint.selection import glob_test
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.cli.export import add_parser, choices_of
from ckptviewer.export.choices import CastRule, Choices, Preset
from ckptviewer.export.command import command_line, pair_rule
from ckptviewer.export.execute import final_path
from ckptviewer.export.rate import Rate
from ckptviewer.export.writers import format_of_name


def parsed(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    program, *words = shlex.split(line)
    assert program == "ckptviewer"
    return parser.parse_args(words)


def test_all_choices_come_back() -> None:
    choices = Choices(
        preset=Preset.INFERENCE,
        include=("net/*", "a b's"),
        exclude=("*Adam*",),
        include_regex=("^x$",),
        exclude_regex=("y|z",),
        roles=frozenset({Role.WEIGHT, Role.BIAS}),
        dtypes=frozenset({"float32"}),
        ticks={"global step": True, "net/kernel": False},
        renames=(parse_rule(r"^(\w+)/=\1\=/"), parse_rule("a=b")),
        cast=CastRule(dtype="bfloat16", roles=frozenset({Role.WEIGHT})),
        use_ema=True,
        format="safetensors",
        shard_bytes=12345,
        name_based=True,
    )
    line = command_line("/a b/model", "out", choices, overwrite=True)
    options = parsed(line)
    assert choices_of(options) == choices
    assert (options.source, options.destination, options.overwrite) == ("/a b/model", "out", True)


def test_nothing_chosen() -> None:
    line = command_line("src", "dst", Choices())
    assert line == "ckptviewer export src dst --format tf-bundle"
    assert choices_of(parsed(line)) == Choices()


def test_selected_keys_become_globs_that_match_them_alone() -> None:
    keys = frozenset({"a[0]*", "b?"})
    chosen = choices_of(
        parsed(command_line("s", "d", Choices(preset=Preset.SELECTED, selected=keys)))
    )
    is_kept = glob_test(chosen.include)
    for key in ("a[0]*", "b?", "a0x", "bc"):
        assert is_kept(Variable(key, key, "int8", (), 1)) == (key in keys)


def test_a_pair_renames_one_key() -> None:
    rule = pair_rule("a.b/c", r"new\1=x")
    assert rename("a.b/c", (rule,)) == r"new\1=x"
    assert rename("a.b/cc", (rule,)) == "a.b/cc"
    assert parse_rule(str(rule)) == rule


def test_a_rate() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.text(Progress(done=0, total=1000)) == ""
    now[0] = 1.0
    assert rate.text(Progress(done=10_000_000, total=40_000_000)) == "10.0 MB/s, 3 s left"
    now[0] = 2.0
    assert rate.text(Progress(done=10_000_000, total=8_000_000_000)) == "7.0 MB/s, 19 min left"


@pytest.mark.parametrize(
    ("name", "format_name", "written"),
    [
        ("model", "tf-bundle", "model"),
        ("model.ckpt.index", "tf-bundle", "model.ckpt"),
        ("model", "npz", "model.npz"),
        ("model.NPZ", "npz", "model.NPZ"),
        ("model.h5", "keras-weights-h5", "model.weights.h5"),
        ("model.weights.h5", "keras-weights-h5", "model.weights.h5"),
        ("model.ckpt", "safetensors", "model.ckpt.safetensors"),
    ],
)
def test_names_of_what_is_written(
    name: str, format_name: str, written: str, tmp_path: Path
) -> None:
    assert final_path(tmp_path / name, format_name) == str(tmp_path / written)
    assert format_of_name(written) == format_name
