"""A Keras archive whose members do not match their checksums is not healthy."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from ckptviewer.analysis.doctor import examine

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    path = tmp_path_factory.mktemp("keras") / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="sequential").save(path)
    return path


def codes(path: Path) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in examine(path)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["model.weights.h5", "config.json"])
def test_a_byte_that_no_value_needs(archive: Path, tmp_path: Path, name: str) -> None:
    """Keras refuses the file, so that no finding would be a lie."""
    assert "checksum-mismatch" not in dict(codes(archive))
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo(name)
    content = member.header_offset + 30 + len(name)
    if name == "config.json":
        position = data.index(b'"sequential"', content) + 1
    else:
        position = data.index(bytes(64), content) + 32  # between what HDF5 keeps
    data[position] ^= 0x01
    damaged = tmp_path / "model.keras"
    damaged.write_bytes(data)
    with zipfile.ZipFile(damaged) as opened:
        assert opened.testzip() == name
    found = dict(codes(damaged))
    assert name in found["checksum-mismatch"]
