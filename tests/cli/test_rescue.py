"""`ckptviewer rescue` as a script sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.cli.main import run
from tests import builders


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return builders.save(
        tmp_path / "m", {"a": np.arange(5.0), "b": np.full(4, 2.0), "c": np.array(b"text")}
    )


@pytest.fixture
def damaged(sound: Path) -> Path:
    """A bundle whose variable `b` is damaged."""
    bundle = builders.Bundle.of(sound)
    bundle.shards[0][bundle.entries[b"b"].offset] ^= 1
    return bundle.write(sound)


def test_the_receipt_of_a_damaged_one(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "saved"
    assert run(["rescue", str(damaged), str(target), "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)
    reason = receipt["dropped"][0].pop("reason")
    assert "checksum" in reason
    files = [builders.index_file(target), builders.data_file(target)]
    sources = [builders.index_file(damaged), builders.data_file(damaged)]
    assert receipt == {
        "source": str(damaged),
        "destination": str(target),
        "format": "tf-bundle",
        "kept": [{"key": key, "key_written": key} for key in "ac"],
        "dropped": [{"key": "b"}],
        "bytes_before": sum(file.stat().st_size for file in sources),
        "bytes_after": sum(file.stat().st_size for file in files),
        "verified": True,
    }
    assert builders.values_in(target)["a"].tolist() == [0, 1, 2, 3, 4]


def test_for_people(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rescue", f"{damaged}.index", str(tmp_path / "saved.index")]) == 0
    lost, saved = capsys.readouterr().out.splitlines()
    assert lost.startswith("lost: b: its values do not match their checksum")
    assert saved.startswith(f"2 variables saved to {tmp_path / 'saved'}, verified; 1 variable lost")


def test_nothing_intact_is_a_no(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builders.data_file(sound).write_bytes(b"")
    for form in (["--json"], []):
        assert run(["rescue", str(sound), str(tmp_path / "saved"), *form]) == 1
        out = capsys.readouterr().out
        assert (json.loads(out)["kept"] == []) if form else ("nothing was written" in out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "m.data-00000-of-00001",
        "m.index",
    ]


def test_what_could_not_be_done_is_one_line(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "saved")
    cases = [
        ([str(tmp_path / "none"), target], "none"),
        ([str(sound), str(sound), "--overwrite"], "never written"),
        ([str(sound), str(tmp_path / "missing" / "m")], "no such directory"),
        ([str(sound), str(tmp_path)], "directory"),
        ([str(sound), str(tmp_path / "model") + "/"], "a checkpoint's name is needed"),
        ([str(sound), str(tmp_path) + "/"], "directory"),
        ([str(sound), "gs://bucket/model"], "elsewhere"),
        ([str(sound), str(tmp_path / "zero\0byte")], "no path can have"),
        ([str(sound), str(tmp_path / ("long" * 80))], "writing failed"),
    ]
    for arguments, words in cases:
        assert run(["rescue", *arguments, "--json"]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert words in told.err
        assert len(told.err.splitlines()) == 1


def test_an_existing_one_is_replaced_only_when_asked(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = builders.save(tmp_path / "saved", {"old": np.zeros(3)})
    assert run(["rescue", str(sound), str(target)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert set(builders.values_in(target)) == {"old"}
    assert run(["rescue", str(sound), str(target), "--overwrite"]) == 0
    assert set(builders.values_in(target)) == {"a", "b", "c"}


def test_a_damaged_index_is_told(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builders.Bundle.of(sound).write(sound, block_entries=2)
    index = builders.index_file(sound)
    table = bytearray(index.read_bytes())
    table[table.index(b"b")] ^= 0x20
    index.write_bytes(table)
    assert run(["rescue", str(sound), str(tmp_path / "saved")]) == 0
    told = capsys.readouterr()
    assert "does not match its checksum" in told.err
    assert "saved to" in told.out


def test_it_loads_no_tensorflow(sound: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from ckptviewer.cli.main import run\n"
        f"status = run(['rescue', {str(sound)!r}, {str(tmp_path / 'saved')!r}])\n"
        "assert not {'tensorflow', 'keras', 'h5py', 'PySide6'} & set(sys.modules)\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
