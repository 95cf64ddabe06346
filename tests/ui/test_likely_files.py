"""What lies beside a checkpoint and likely belongs to it, by names alone."""

from __future__ import annotations

from pathlib import Path

from ckptviewer.ui.likely_files import likely_files


def touched(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_models_of_the_checkpoint_come_first(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "model.ckpt-9.index",
        "model.ckpt-10.index",
        "model.ckpt-9.meta",
        "model.ckpt-10.meta",
        "digits.keras",
        "late.weights.h5",
        "whole.h5",
        "exported/saved_model.pb",
        "notes.txt",
    )
    found = likely_files(str(tmp_path / "model.ckpt-10"))
    assert [Path(path).name for path in found.models] == [
        "model.ckpt-10.meta",
        "digits.keras",
        "exported",
        "whole.h5",
        "model.ckpt-9.meta",
    ]
    assert found.others == (str(tmp_path / "model.ckpt-9"),)


def test_variables_belong_to_the_saved_model_above(tmp_path: Path) -> None:
    touched(tmp_path, "saved_model.pb", "variables/variables.index")
    found = likely_files(str(tmp_path / "variables" / "variables"))
    assert found.models == (str(tmp_path),)
    assert likely_files(str(tmp_path)).models == (str(tmp_path),)


def test_data_to_validate_with_comes_first_and_is_never_the_checkpoint(tmp_path: Path) -> None:
    touched(tmp_path, "a.npz", "train.csv", "digits-validation.npz", "x_test.tfrecord")
    found = likely_files(str(tmp_path / "a.npz"))
    assert [Path(path).name for path in found.data] == [
        "digits-validation.npz",
        "x_test.tfrecord",
        "train.csv",
    ]


def test_what_cannot_be_listed_has_nothing(tmp_path: Path) -> None:
    assert likely_files(str(tmp_path / "gone" / "model")).models == ()
