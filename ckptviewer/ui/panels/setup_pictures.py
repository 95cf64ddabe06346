"""How a folder of images is read, in a validation's set-up: size, colours, and names of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QGridLayout, QLabel, QPlainTextEdit, QWidget

from ckptviewer.checkpoint.errors import InvalidSettingError
from ckptviewer.checkpoint.text import capitalised, plural
from ckptviewer.ui.panels.setup_parts import Choice, FieldNote, Number

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import DataSpec, TensorInfo

_COLORS = {"rgb": "colour", "grayscale": "greyscale", "rgba": "colour with alpha"}
_OF_CHANNELS = {1: "grayscale", 3: "rgb", 4: "rgba"}
_AS_TAKEN = "as the model takes it"
_LARGEST = 65_535
_MOST_NAMES = 2_000
_MOST_LINES = 8


class Pictures(QWidget):
    """Height, width, colours and classes. changed: is called when the user changes one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._folders: tuple[str, ...] = ()
        self._kept: tuple[str, ...] = ()
        self.height_ = Number("Height of the pictures", 0, _LARGEST, 0, _AS_TAKEN)
        self.width_ = Number("Width of the pictures", 0, _LARGEST, 0, _AS_TAKEN)
        self.color = Choice("Colours of the pictures")
        self.names = QPlainTextEdit()
        self.names.setAccessibleName("Names of the classes")
        self.names.setToolTip("A class a line, by number: the first is class 0")
        self.names.setTabChangesFocus(True)
        self.note = FieldNote()
        for number in (self.height_, self.width_):
            number.setToolTip("In pixels; 0: as the model takes it")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for at, (title, field) in enumerate(
            (
                ("Height", self.height_),
                ("Width", self.width_),
                ("Colours", self.color),
                ("Classes", self.names),
            )
        ):
            label = QLabel(title)
            label.setObjectName("muted")
            grid.addWidget(label, at, 0)
            grid.addWidget(field, at, 1)
        grid.addWidget(self.note, 4, 0, 1, 2)
        self._offer_colors("")
        for number in (self.height_, self.width_):
            number.valueChanged.connect(lambda _value: changed())
        self.color.currentIndexChanged.connect(lambda _at: changed())
        self.names.textChanged.connect(changed)

    def show_taken(self, tensor: TensorInfo | None) -> None:
        """Show what the model takes, for where nothing else is said. tensor: its only input."""
        shape = tensor.shape if tensor is not None else None
        axes = shape[1:] if shape is not None and len(shape) == 4 else (None, None, None)
        for number, size in zip((self.height_, self.width_), axes, strict=False):
            number.setSpecialValueText(f"{size} (the model\u2019s)" if size else _AS_TAKEN)
        color = _OF_CHANNELS.get(axes[2] or 0)
        self.color.setItemText(0, f"{_COLORS[color]} (the model\u2019s)" if color else _AS_TAKEN)

    def show_spec(self, spec: DataSpec, folders: Sequence[str]) -> None:
        """Show how the data is read now, and which folders there are."""
        fields = (self.height_, self.width_, self.color, self.names)
        for field in fields:
            field.blockSignals(True)
        height, width = spec.image_size or (0, 0)
        self.height_.setValue(height)
        self.width_.setValue(width)
        self._offer_colors(spec.color)
        self._folders, self._kept = tuple(folders), spec.class_names
        names = spec.class_names or self._folders
        editable = len(names) <= _MOST_NAMES and not any("\n" in name for name in names)
        self.names.setEnabled(editable)
        self.names.setPlainText("\n".join(names) if editable else "")
        self.names.setPlaceholderText(plural(len(names), "class", "classes"))
        lines = max(2, min(_MOST_LINES, len(names)))
        self.names.setFixedHeight(lines * self.names.fontMetrics().lineSpacing() + 16)
        for field in fields:
            field.blockSignals(False)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width; None for what the model takes. Raises InvalidSettingError."""
        height, width = self.height_.value(), self.width_.value()
        if bool(height) != bool(width):
            raise InvalidSettingError("pictures need both a height and a width, or neither")
        return (height, width) if height else None

    @property
    def color_mode(self) -> str:
        """As of DataSpec."""
        return str(self.color.currentData() or "")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by number; none where they are the folders as they are sorted."""
        if not self.names.isEnabled():
            return self._kept
        lines = self.names.toPlainText().split("\n")
        names = tuple(line.strip() for line in lines if line.strip())
        return () if names == self._folders else names

    def problem(self) -> str:
        """What is wrong with what was said; "" where nothing is. It is shown here."""
        from ckptviewer.validation.datasets import check_classes

        names = self.class_names
        wrong = [each.message for each in check_classes(self._folders, names)] if names else []
        if len(set(names)) < len(names):
            wrong.append("A class is named twice.")
        try:
            self.image_size  # noqa: B018 - raises
        except InvalidSettingError as error:
            wrong.append(f"{capitalised(error.what)}.")
        self.note.say(problem=" ".join(wrong))
        return " ".join(wrong)

    def _offer_colors(self, chosen: str) -> None:
        first = self.color.itemText(0) or _AS_TAKEN
        self.color.clear()
        self.color.addItem(first, "")
        offered = dict(_COLORS) | ({chosen: chosen} if chosen and chosen not in _COLORS else {})
        for mode, title in offered.items():
            self.color.addItem(title, mode)
        self.color.setCurrentIndex(self.color.findData(chosen))
