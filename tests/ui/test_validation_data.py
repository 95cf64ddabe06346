"""What a validation's set-up asks of TFRecords and of folders of images, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QBuffer, QCoreApplication, QEvent, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ckptviewer.formats.sstable import masked_crc32c
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.validation_setup import ValidationSetup
from ckptviewer.ui.validation_work import look, see
from ckptviewer.validation.command import only_in_recipes
from ckptviewer.validation.protocol import (
    Feature,
    ModelInfo,
    ModelKind,
    SignatureInfo,
    TensorInfo,
)
from ckptviewer.validation.recipe import Recipe, read_recipe, write_recipe
from ckptviewer.validation.validating import prepare, validate
from tests.varints import varint

DEMO = demo_checkpoint()
DIGITS = DEMO.with_name("digits.keras")
COUNT = 12


def pictures() -> tuple[Any, Any]:
    """The first pictures of the demo, from 0 to 255, and their digits."""
    with np.load(DEMO.with_name("digits-validation.npz")) as file:
        x, y = file["x"][:COUNT], file["y"][:COUNT]
    return np.round(x * 255 / x.max()).astype(np.uint8), y


# Written by hand: TensorFlow in this process would make every other test slow.


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes, or a message."""
    return bytes((number << 3 | 2,)) + varint(len(content)) + content


def feature(name: str, *values: bytes | float | int) -> bytes:
    """An entry of a tf.train.Example's features."""
    if isinstance(values[0], bytes):
        kind, content = 1, b"".join(field(1, each) for each in values)  # type: ignore[arg-type]
    elif isinstance(values[0], float):
        kind, content = 2, field(1, np.array(values, "<f4").tobytes())
    else:
        kind, content = 3, field(1, b"".join(map(varint, values)))  # type: ignore[arg-type]
    return field(1, field(1, name.encode()) + field(2, field(kind, content)))


def framed(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file."""
    length = len(record).to_bytes(8, "little")
    sums = (masked_crc32c(each).to_bytes(4, "little") for each in (length, record))
    return length + next(sums) + record + next(sums)


def png(picture: Any) -> bytes:
    """A picture of bytes, grey or in colour, as a PNG."""
    height, width = picture.shape[:2]
    grey = picture.ndim == 2
    form = QImage.Format.Format_Grayscale8 if grey else QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), width, height, picture.strides[0], form)
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    assert image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFRecord with each digit as a PNG, as bytes and as numbers, and words of any number."""
    path = tmp_path_factory.mktemp("records") / "digits.tfrecord"
    with open(path, "wb") as file:
        for number, (x, y) in enumerate(zip(*pictures(), strict=True)):
            named = (
                feature("png", png(x.reshape(8, 8))),
                feature("bytes", x.tobytes()),
                feature("flat", *(x.ravel() / 255).tolist()),
                feature("label", int(y)),
                feature("words", *[b"a"] * (1 + number % 2)),
            )
            file.write(framed(field(1, b"".join(named))))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images by class, of another size than the model takes."""
    path = tmp_path_factory.mktemp("images")
    for name in ("one", "two", "zero"):
        (path / name).mkdir()
        for number in range(2):
            picture = np.full((16, 12, 3), 40 * number, np.uint8)
            (path / name / f"{number}.png").write_bytes(png(picture))
    return path


Make = Callable[[], ValidationSetup]


@pytest.fixture
def make(appearance: Appearance) -> Iterator[Make]:
    """Makes set-ups of the demo's checkpoint; none is left to be styled in the next test."""
    made: list[ValidationSetup] = []

    def make_() -> ValidationSetup:
        made.append(ValidationSetup(str(DEMO), appearance))
        return made[-1]

    yield make_
    for each in made:
        each.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def setup(make: Make) -> ValidationSetup:
    """One with the demo's model."""
    made = make()
    made.model.set_path(str(DIGITS))
    made.show_looked(look(str(DEMO), str(DIGITS)))
    return made


def choose(setup: ValidationSetup, path: Path) -> None:
    """Choose data, and look at it at once."""
    setup.data.set_path(str(path))
    setup.show_seen(see(setup.data_paths))


def info(shape: tuple[int | None, ...] = (None, 8, 8, 1)) -> ModelInfo:
    """What the demo's model tells of itself once it was loaded."""
    taken = TensorInfo(name="picture", dtype="float32", shape=shape)
    given = TensorInfo(name="digit", dtype="float32", shape=(None, 10))
    return ModelInfo(
        kind=ModelKind.KERAS,
        signatures=(SignatureInfo(name="model", inputs=(taken,), outputs=(given,)),),
    )


def taken_again(recipe: Recipe, make: Make, path: Path) -> ValidationSetup:
    """Another set-up, which took the recipe from a file."""
    write_recipe(recipe, path)
    again = make()
    again.show_recipe(read_recipe(path))
    again.show_looked(look(str(DEMO), str(DIGITS)))
    again.show_seen(see(again.data_paths))
    return again


# Features of TFRecords.


FOUND = [
    ("bytes", "string", ""),
    ("flat", "float32", "64"),
    ("label", "int64", ""),
    ("png", "string", ""),
    ("words", "string", ""),
]


def test_only_what_belongs_to_the_kind_of_data_is_shown(
    setup: ValidationSetup, records: Path, folder: Path
) -> None:
    reading = setup.reading
    for path, shown in (
        (DEMO.with_name("digits-validation.npz"), (False, False, False)),
        (records, (True, True, False)),
        (folder, (True, False, True)),
    ):
        choose(setup, path)
        visible = [
            each.isVisibleTo(setup) for each in (reading, reading.features, reading.pictures)
        ]
        assert tuple(visible) == shown, path
    setup.data.set_path("")
    assert not reading.isVisibleTo(setup)


def test_what_is_wrong_with_one_kind_is_not_told_of_another(
    setup: ValidationSetup, records: Path, folder: Path
) -> None:
    choose(setup, records)
    setup.reading.features.row("label").shape.textEdited.emit("")
    setup.reading.features.row("label").shape.setText("eight")
    assert setup.problem()
    choose(setup, folder)
    assert not setup.problem()
    assert not setup.reading.note.text()


def test_features_are_those_of_the_first_record(setup: ValidationSetup, records: Path) -> None:
    choose(setup, records)
    assert setup.reading.features.rows() == FOUND
    assert not setup.reading.features.reset.isVisibleTo(setup)
    recipe = setup.recipe()
    assert recipe.data is not None
    assert recipe.data.features == (), "what nobody changed is left to be found"


def test_the_model_tells_shapes_and_how_bytes_are_meant(
    setup: ValidationSetup, records: Path
) -> None:
    choose(setup, records)
    setup.show_info(info())
    features = setup.reading.features
    for key, row in (
        ("png", ("png", "picture", "8, 8, 1")),
        ("bytes", ("bytes", "bytes of float32", "8, 8, 1")),
        ("flat", ("flat", "float32", "8, 8, 1")),
    ):
        setup.inputs._choices["picture"].setCurrentText(key)
        expected = [row if each[0] == key else each for each in FOUND]
        assert features.rows() == expected
        assert setup.run.isEnabled(), "what is decoded fits"
    setup.inputs._choices["picture"].setCurrentText("label")
    assert not setup.run.isEnabled()
    assert "wrong" not in setup.reading.note.text()
    assert "label has examples of shape []" in setup.data_note.text()


def test_what_is_said_of_features_is_saved_and_taken_again(
    qtbot: QtBot, setup: ValidationSetup, records: Path, make: Make, tmp_path: Path
) -> None:
    choose(setup, records)
    setup.show_info(info())
    setup.inputs._choices["picture"].setCurrentText("bytes")
    features = setup.reading.features
    features.row("bytes").kind.setCurrentText("bytes of uint8")
    qtbot.mouseClick(features.row("words").remove, Qt.MouseButton.LeftButton)
    shape = features.row("label").shape
    qtbot.keyClicks(shape, "eight")
    assert not setup.run.isEnabled()
    assert "'eight' is no shape of the feature label" in setup.reading.note.text()
    shape.selectAll()
    qtbot.keyClick(shape, Qt.Key.Key_Delete)
    assert setup.run.isEnabled()
    recipe = setup.recipe()
    assert recipe.data is not None
    assert recipe.data.features == (
        Feature(name="bytes", dtype="uint8", shape=(8, 8, 1), encoded="raw"),
        Feature(name="flat", dtype="float32", shape=(64,)),
        Feature(name="label", dtype="int64"),
        Feature(name="png", dtype="string"),
    )
    assert only_in_recipes(recipe) == ("the features",)
    again = taken_again(recipe, make, tmp_path / "records.toml")
    assert again.recipe() == recipe
    assert again.reading.features.rows() == features.rows()
    qtbot.mouseClick(again.reading.features.reset, Qt.MouseButton.LeftButton)
    assert again.reading.features.rows() == FOUND
    found = again.recipe().data
    assert found is not None
    assert found.features == ()


def test_what_was_not_touched_follows_the_model(setup: ValidationSetup, records: Path) -> None:
    choose(setup, records)
    features = setup.reading.features
    features.row("label").kind.setCurrentText("int32")
    setup.show_info(info())
    setup.inputs._choices["picture"].setCurrentText("flat")
    assert features.rows()[1:3] == [("flat", "float32", "8, 8, 1"), ("label", "int32", "")]
    choose(setup, DEMO.with_name("digits-validation.npz"))
    choose(setup, records)
    assert features.rows()[2] == ("label", "int64", ""), "other data, nothing said of it"


def test_a_shape_that_the_model_does_not_take_is_told(
    qtbot: QtBot, setup: ValidationSetup, records: Path
) -> None:
    choose(setup, records)
    setup.show_info(info())
    setup.inputs._choices["picture"].setCurrentText("flat")
    shape = setup.reading.features.row("flat").shape
    shape.selectAll()
    qtbot.keyClicks(shape, "4, 16")
    assert "flat has examples of shape [4, 16]" in setup.data_note.text()
    assert not setup.run.isEnabled()


def test_leaving_all_features_out_makes_no_sense(
    qtbot: QtBot, setup: ValidationSetup, records: Path
) -> None:
    choose(setup, records)
    features = setup.reading.features
    for name, _, _ in features.rows():
        qtbot.mouseClick(features.row(name).remove, Qt.MouseButton.LeftButton)
    assert setup.problem() == "How the data is read has to be put right."
    qtbot.mouseClick(features.reset, Qt.MouseButton.LeftButton)
    assert setup.problem() == ""


# A folder of images.


def test_pictures_are_read_as_the_model_takes_them(setup: ValidationSetup, folder: Path) -> None:
    choose(setup, folder)
    pictures = setup.reading.pictures
    assert pictures.height_.text() == pictures.color.currentText() == "as the model takes it"
    assert pictures.names.toPlainText() == "one\ntwo\nzero"
    setup.show_info(info())
    assert pictures.height_.text() == pictures.width_.text() == "8 (the model\u2019s)"
    assert pictures.color.currentText() == "greyscale (the model\u2019s)"
    recipe = setup.recipe()
    assert recipe.data is not None
    assert (recipe.data.image_size, recipe.data.color, recipe.data.class_names) == (None, "", ())


def test_what_is_said_of_pictures_is_saved_and_taken_again(
    qtbot: QtBot, setup: ValidationSetup, folder: Path, make: Make, tmp_path: Path
) -> None:
    choose(setup, folder)
    setup.show_info(info((None, None, None, 3)))
    pictures = setup.reading.pictures
    pictures.height_.setValue(24)
    assert "both a height and a width" in pictures.note.text()
    assert not setup.run.isEnabled()
    pictures.width_.setValue(32)
    pictures.names.setPlainText("zero\none\n\n two \n")
    pictures.color.setCurrentText("greyscale")
    assert "x has examples of shape [24, 32, 1]" in setup.data_note.text()
    assert not setup.run.isEnabled()
    pictures.color.setCurrentText("colour")
    assert setup.run.isEnabled()
    recipe = setup.recipe()
    assert recipe.data is not None
    assert recipe.data.image_size == (24, 32)
    assert recipe.data.color == "rgb"
    assert recipe.data.class_names == ("zero", "one", "two")
    assert only_in_recipes(recipe) == (
        "the size of the pictures", "the colours", "the names of the classes",
    )  # fmt: skip
    again = taken_again(recipe, make, tmp_path / "pictures.json")
    assert again.recipe() == recipe
    assert again.reading.pictures.names.toPlainText() == "zero\none\ntwo"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("zero\none", "The folder two is of no class that was named."),
        ("zero\none\ntwo\nsix", "There is no folder of the class six."),
        ("zero\none\ntwo\ntwo", "A class is named twice."),
    ],
)
def test_classes_have_to_be_the_folders(
    setup: ValidationSetup, folder: Path, names: str, told: str
) -> None:
    choose(setup, folder)
    setup.reading.pictures.names.setPlainText(names)
    assert setup.reading.pictures.note.text() == told
    assert not setup.run.isEnabled()


# With the real worker.


def test_what_was_said_is_what_runs(
    setup: ValidationSetup, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKPTVIEWER_LOGS", str(tmp_path / "logs"))
    choose(setup, records)
    setup.show_info(info())
    setup.inputs._choices["picture"].setCurrentText("bytes")
    features = setup.reading.features
    features.row("bytes").kind.setCurrentText("bytes of uint8")
    features.row("words").remove.click()
    setup.scale.setText(repr(1 / 255))
    setup.predictions.setText(str(tmp_path / "bytes.npz"))
    write_recipe(setup.recipe(), tmp_path / "bytes.toml")
    with ThreadPoolExecutor(1) as executor:
        report = validate(prepare(read_recipe(tmp_path / "bytes.toml")), executor, 1)
    _, y = pictures()
    found = report.outcome.measurements["a"]
    assert found.examples == COUNT
    with np.load(tmp_path / "bytes.npz") as file:
        (output,) = (file[name] for name in file.files)
    assert found.values["accuracy"] == pytest.approx((output.argmax(1) == y).mean())
    assert found.values["accuracy"] > 0.9, "the pixels are where they were"
