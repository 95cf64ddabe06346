"""`ckptviewer list`: the document that scripts rely on, the table for people, and bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.__main__ import main
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import natural_key
from ckptviewer.checkpoint.variable import Role
from ckptviewer.resources import demo_checkpoint

DOCUMENT = ["path", "format", "written_by", "variables", "findings"]
VARIABLE = ["key", "name", "dtype", "shape", "stored_bytes", "role", "slot_of", "trainable"]
FINDING = ["code", "severity", "variable", "message", "remedy"]
CORPUS_BUNDLES = (
    "basicpitch_sm",
    "onx_regression_ckpt",
    "onx_regression_sm",
    "srv_sm_v2_half_plus_two",
    "t2t_transformer_2shard",
    "tfjs_sm_int64",
    "tfx_estimator_2shard",
    "tfx_sm_2shard_assets",
    "tfx_sm_keras",
)


def listed(path: Path | str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The document that `list --json` prints, with status 0 and nothing else said."""
    capfd.readouterr()  # TensorFlow speaks when it is first imported
    assert main(["list", str(path), "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    document: dict[str, Any] = json.loads(out, parse_constant=pytest.fail)
    assert list(document) == DOCUMENT
    for variable in document["variables"]:
        assert list(variable) == VARIABLE
    for finding in document["findings"]:
        assert list(finding) == FINDING
    return document


def bundle_in(directory: Path) -> Path:
    """A copy of the demo that may be harmed; its prefix."""
    source = demo_checkpoint()
    name = source.name.removesuffix(".index")
    for path in source.parent.glob(f"{name}.*"):
        shutil.copy(path, directory)
    return directory / name


def data_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".data-00000-of-00001")


def index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


# The document


def test_types_of_every_field(capfd: pytest.CaptureFixture[str]) -> None:
    document = listed(demo_checkpoint(), capfd)
    assert os.path.isabs(document["path"])
    assert document["format"] == "tf-bundle"
    assert document["written_by"] is None or isinstance(document["written_by"], str)
    assert document["variables"]
    roles, keys = {str(role) for role in Role}, [v["key"] for v in document["variables"]]
    for variable in document["variables"]:
        assert isinstance(variable["key"], str)
        assert isinstance(variable["name"], str)
        assert isinstance(variable["dtype"], str)
        assert all(type(size) is int for size in variable["shape"])
        assert type(variable["stored_bytes"]) is int
        assert variable["role"] in roles
        assert variable["slot_of"] is None or variable["slot_of"] in keys
        assert variable["trainable"] in (True, False, None)
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys, key=natural_key)


def test_document_has_every_key_of_the_file_as_tensorflow_tells_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from tests.builders import listed_in

    prefix = str(demo_checkpoint()).removesuffix(".index")
    document = listed(prefix, capfd)
    found = {v["key"]: (v["dtype"], tuple(v["shape"])) for v in document["variables"]}
    assert found == listed_in(Path(prefix))
    graph = next(v for v in document["variables"] if v["key"] == "_CHECKPOINTABLE_OBJECT_GRAPH")
    assert (graph["role"], graph["dtype"], graph["shape"]) == ("metadata", "string", [])


@pytest.mark.parametrize("folder", CORPUS_BUNDLES)
def test_real_checkpoints_are_listed_as_tensorflow_lists_them(
    folder: str, corpus: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.builders import listed_in

    (index,) = (corpus / folder).rglob("*.index")
    prefix = index.with_name(index.name.removesuffix(".index"))
    document = listed(index_of(prefix), capfd)
    found = {v["key"]: (v["dtype"], tuple(v["shape"])) for v in document["variables"]}
    assert found == listed_in(prefix)
    assert [f for f in document["findings"] if f["severity"] == "error"] == []


@pytest.mark.parametrize(
    "form", [".index", ".data-00000-of-00001", "", "directory", "checkpoint", "relative"]
)
def test_every_path_of_the_checkpoint_gives_the_same_document(
    form: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefix = bundle_in(tmp_path)
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{prefix.name}"\n')
    monkeypatch.chdir(tmp_path)
    path = {
        "directory": tmp_path,
        "checkpoint": tmp_path / "checkpoint",
        "relative": Path(prefix.name + ".index"),
    }.get(form, Path(f"{prefix}{form}"))
    document = listed(path, capfd)
    expected = listed(index_of(prefix), capfd)
    assert document["variables"] == expected["variables"]
    assert os.path.samefile(index_of(Path(document["path"])), index_of(prefix))


def test_trainable_and_slots_are_told_where_the_file_tells(
    capfd: pytest.CaptureFixture[str],
) -> None:
    variables = {v["key"]: v for v in listed(demo_checkpoint(), capfd)["variables"]}
    slots = [v for v in variables.values() if v["role"] == "optimizer-slot"]
    assert slots
    for slot in slots:
        assert variables[slot["slot_of"]]["slot_of"] is None
        assert variables[slot["slot_of"]]["shape"] == slot["shape"]


# For people


def test_table_has_every_variable_and_the_sum(capfd: pytest.CaptureFixture[str]) -> None:
    document = listed(demo_checkpoint(), capfd)
    assert main(["list", str(demo_checkpoint())]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith(f"{document['path']}: tf-bundle")
    assert lines[1].startswith(f"{len(document['variables'])} variables, ")
    header = next(number for number, line in enumerate(lines) if line.startswith("KEY"))
    assert lines[header].split() == ["KEY", "SHAPE", "DTYPE", "SIZE", "ROLE"]
    rows = lines[header + 1 : header + 1 + len(document["variables"])]
    for line, variable in zip(rows, document["variables"], strict=True):
        shape = "×".join(map(str, variable["shape"])) or "scalar"
        cells = re.split(r"\s{2,}", line)
        assert cells[:3] == [variable["key"], shape, variable["dtype"]]
        assert cells[4] == variable["role"]


def test_nothing_in_a_key_reaches_the_terminal_as_a_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.builders import save

    names = ["plain", "red\x1b[31m", "two\nlines", "tab\tbed", "b\x07ell", "c1\x9b31m", "l\u2028s"]
    prefix = save(tmp_path / "odd", dict.fromkeys(names, 1.0))
    assert main(["list", str(prefix)]) == 0
    out, _ = capfd.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out)
    rows = out.splitlines()[4:]
    assert len(rows) == len(names)
    assert "red\\x1b[31m" in out
    assert "two\\nlines" in out
    assert [v["key"] for v in listed(prefix, capfd)["variables"]] == sorted(names, key=natural_key)


def test_keys_that_are_no_utf8(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tests.builders import save

    prefix = save(tmp_path / "latin", {b"caf\xe9/kernel": [1.0], b"ok": [2.0]})
    document = listed(prefix, capfd)
    keys = [v["key"].encode("utf-8", "surrogateescape") for v in document["variables"]]
    assert sorted(keys) == [b"caf\xe9/kernel", b"ok"]
    assert main(["list", str(prefix)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "caf\\udce9/kernel" in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_of_the_terminal_will_do(encoding: str, tmp_path: Path) -> None:
    from tests.builders import save

    prefix = save(tmp_path / "w", {"schicht\u00fc/\u5c42": np.zeros((2, 3))})
    for form in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "ckptviewer", "list", str(prefix), *form],
            env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        out = done.stdout.decode(encoding)
        if form:
            assert json.loads(out)["variables"][0]["key"] == "schicht\u00fc/\u5c42"
        else:
            assert "float64" in out


def test_reader_that_has_seen_enough_is_no_error() -> None:
    # The pipe is closed before a line is written.
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ckptviewer", "list", str(demo_checkpoint())],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


# Bad input: could not do it


def nothing(directory: Path) -> Path:
    return directory / "no-such.index"


def nowhere(directory: Path) -> Path:
    return directory / "no" / "such" / "model.ckpt-1"


def odd_name(directory: Path) -> Path:
    return directory / "two\nlines \x1b[31m"


def empty_file(directory: Path) -> Path:
    (directory / "empty.index").touch()
    return directory / "empty.index"


def empty_directory(directory: Path) -> Path:
    return directory


def text_file(directory: Path) -> Path:
    (directory / "notes.index").write_text("no checkpoint\n" * 100)
    return directory / "notes.index"


def random_bytes(directory: Path) -> Path:
    (directory / "noise").write_bytes(np.random.default_rng(0).bytes(5000))
    return directory / "noise"


def lfs_pointer(directory: Path) -> Path:
    (directory / "big.index").write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
        "size 12345\n"
    )
    return directory / "big.index"


def truncated_index(directory: Path) -> Path:
    prefix = bundle_in(directory)
    os.truncate(index_of(prefix), 300)
    return index_of(prefix)


def index_cut_within_its_footer(directory: Path) -> Path:
    prefix = bundle_in(directory)
    os.truncate(index_of(prefix), index_of(prefix).stat().st_size - 1)
    return index_of(prefix)


def index_with_a_wrong_checksum(directory: Path) -> Path:
    prefix = bundle_in(directory)
    data = bytearray(index_of(prefix).read_bytes())
    data[20] ^= 0xFF
    index_of(prefix).write_bytes(data)
    return index_of(prefix)


def shard_without_index(directory: Path) -> Path:
    prefix = bundle_in(directory)
    index_of(prefix).unlink()
    return data_of(prefix)


BAD: list[Callable[[Path], Path]] = [
    nothing,
    nowhere,
    odd_name,
    empty_file,
    empty_directory,
    text_file,
    random_bytes,
    lfs_pointer,
    truncated_index,
    index_cut_within_its_footer,
    index_with_a_wrong_checksum,
    shard_without_index,
]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "json"])
@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_one_clear_line(
    make: Callable[[Path], Path],
    form: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = make(tmp_path)
    assert main(["list", str(path), *form]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert err.startswith("ckptviewer: ")
    assert path.name.split("\n")[0] in err  # where
    assert err.rstrip().endswith((".", "!", "?"))  # what and a remedy, in sentences
    assert err.count(". ") >= 1
    assert "Traceback" not in err
    assert "should not" not in err  # it is understood, not merely caught


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_file_that_may_not_be_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prefix = bundle_in(tmp_path)
    index_of(prefix).chmod(0)
    assert main(["list", str(prefix)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


# Bad input: a finding, where the rest can still be shown


def findings_of(
    prefix: Path, capfd: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document = listed(prefix, capfd)
    findings = document["findings"]
    severities = {str(severity) for severity in Severity}
    keys = {v["key"] for v in document["variables"]}
    for finding in findings:
        assert finding["severity"] in severities
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", finding["code"])
        assert finding["message"]
        assert finding["variable"] is None or finding["variable"] in keys
    return document, [f for f in findings if f["severity"] == "error"]


def test_missing_shard_is_a_finding(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prefix = bundle_in(tmp_path)
    whole = listed(prefix, capfd)
    data_of(prefix).unlink()
    document, errors = findings_of(prefix, capfd)
    assert [(v["key"], v["dtype"], v["shape"]) for v in document["variables"]] == [
        (v["key"], v["dtype"], v["shape"]) for v in whole["variables"]
    ]
    assert {f["variable"] for f in errors} >= {v["key"] for v in whole["variables"]}
    assert any(f["variable"] is None and data_of(prefix).name in f["message"] for f in errors)
    assert all(f["remedy"] for f in errors)


def test_truncated_shard_names_what_it_lacks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prefix = bundle_in(tmp_path)
    os.truncate(data_of(prefix), 20_000)
    document, errors = findings_of(prefix, capfd)
    lost = {f["variable"] for f in errors} - {None}
    assert 0 < len(lost) < len(document["variables"])
    assert any("20,000" in f["message"] for f in errors)


def test_findings_are_printed_for_people_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prefix = bundle_in(tmp_path)
    data_of(prefix).unlink()
    assert main(["list", str(prefix)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert any(line.startswith("error: ") and data_of(prefix).name in line
               for line in out.splitlines())  # fmt: skip
