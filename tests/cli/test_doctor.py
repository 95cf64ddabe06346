"""`ckptviewer doctor`, as a script and as a person see it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.cli import main
from tests.builders import Bundle, data_file, index_file


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    bundle = Bundle.empty()
    rng = np.random.default_rng(3)
    for number in range(12):
        bundle.add(f"layer_{number:02}/kernel", rng.normal(size=(6, 6)).astype(np.float32))
    return bundle.write(tmp_path / "model.ckpt")


def damage(prefix: Path, *keys: str) -> None:
    bundle = Bundle.of(prefix)
    for key in keys:
        bundle.shards[0][bundle.entries[key.encode()].offset] ^= 1
    bundle.write(prefix)


def fill(prefix: Path, value: float, *keys: str) -> None:
    bundle = Bundle.of(prefix)
    for key in keys:
        bundle.replace(key, np.full((6, 6), value, np.float32).tobytes())
    bundle.write(prefix)


def document_of(path: Path, capsys: pytest.CaptureFixture[str], status: int) -> dict[str, Any]:
    assert main.run(["doctor", str(path), "--json"]) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    assert document.keys() == {"healthy", "findings"}
    assert document["healthy"] is (status == 0)
    for finding in document["findings"]:
        assert finding.keys() == {"code", "severity", "variable", "message", "remedy"}
        assert finding["severity"] in ("error", "warning", "info")
    return document


def test_healthy(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finding,) = document_of(prefix, capsys, 0)["findings"]
    assert finding["code"] == "name-based"
    assert finding["variable"] is None
    assert main.run(["doctor", str(prefix)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{prefix}: healthy (1 note)\n")
    assert "rescue" not in out


def test_warnings_alone_are_healthy(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(prefix, 0, "layer_03/kernel")
    findings = document_of(prefix, capsys, 0)["findings"]
    assert [finding["severity"] for finding in findings] == ["warning", "info"]


def test_not_healthy(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(prefix, "layer_02/kernel")
    findings = document_of(prefix, capsys, 1)["findings"]
    assert [finding["code"] for finding in findings] == ["checksum-mismatch", "name-based"]
    assert findings[0]["variable"] == "layer_02/kernel"
    assert main.run(["doctor", str(prefix)]) == 1
    assert "ckptviewer rescue" in capsys.readouterr().out


def test_what_cannot_be_opened_and_why_is_plain(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index_file(prefix).unlink()
    (finding,) = document_of(data_file(prefix), capsys, 1)["findings"]
    assert finding["code"] == "missing-index"


def test_what_cannot_be_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing of ours")
    for name in ("nothing", "notes.txt"):
        assert main.run(["doctor", str(tmp_path / name), "--json"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1


def test_for_people_the_worst_comes_first_and_the_like_together(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(prefix, np.nan, *(f"layer_{number:02}/kernel" for number in range(10)))
    fill(prefix, 0.5, "layer_11/kernel")
    assert main.run(["doctor", str(prefix)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{prefix}: not healthy (10 errors, 1 warning, 1 note)"
    titles = [line for line in lines if line.isupper()]
    assert titles == ["10 ERRORS", "1 WARNING", "1 NOTE"]
    assert sum("are NaN" in line for line in lines) == 8
    assert "    and 2 more; --json lists all" in lines
    assert sum(line.startswith("    -> Go back to an earlier checkpoint") for line in lines) == 1


def test_the_repaired_text_can_be_copied(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/gone/model.ckpt"\n')
    assert main.run(["doctor", str(prefix)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert 'model_checkpoint_path: "model.ckpt"' in lines


def test_names_have_no_power_over_the_terminal(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle.of(prefix)
    bundle.add("evil\x1b[2J/kernel", np.full((4, 4), np.nan, np.float32))
    bundle.write(prefix)
    assert main.run(["doctor", str(prefix)]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "evil\\x1b" in out


def test_progress_shows_on_a_terminal_alone(
    prefix: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main.run(["doctor", str(prefix), "--json"]) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "100%" in captured.err
