"""What of validation data its kind leaves open, in a set-up: features, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.panels.setup_parts import FieldNote, Fold
from ckptviewer.ui.panels.setup_pictures import Pictures
from ckptviewer.ui.panels.setup_records import Features

if TYPE_CHECKING:
    from ckptviewer.ui.validation_work import SeenData
    from ckptviewer.validation.protocol import DataSpec, SignatureInfo


class DataReading(QWidget):
    """Shows only what belongs to the kind of data, filled with what can be known of it.

    changed: is called when the user changes something.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._seen: SeenData | None = None
        self._paths: tuple[str, ...] | None = None
        self._recipe: DataSpec | None = None
        self.features = Features(changed)
        self.pictures = Pictures(changed)
        self.note = FieldNote()
        self._records = Fold("Features of the records", self.features)
        self._images = Fold("How the pictures are read", self.pictures)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for fold in (self._records, self._images):
            fold.open()
            column.addWidget(fold)
        column.addWidget(self.note)
        self.hide()

    def take(self, spec: DataSpec | None) -> None:
        """What a recipe says counts for its data, once that was looked at."""
        self._recipe, self._paths = spec, None

    def show_data(
        self,
        seen: SeenData | None,
        signature: SignatureInfo | None,
        inputs: dict[str, str],
        target: str,
    ) -> None:
        """Show what is to be said of this data. signature, inputs, target: as far as known."""
        self._seen = seen
        kind = seen.spec.kind.value if seen is not None else ""
        self._records.setVisible(kind == "tfrecord")
        self._images.setVisible(kind == "images")
        self.setVisible(kind in ("tfrecord", "images"))
        if seen is None:
            return
        taken = signature.inputs if signature is not None else ()
        spec = self._spec(seen)
        other = seen.paths != self._paths
        self._paths = seen.paths
        if kind == "tfrecord":
            from ckptviewer.validation.features import guessed_features

            if other:
                self.features.give(spec.features)
            self.features.show_known(guessed_features(seen.dataset, taken, inputs, target))
        elif kind == "images":
            if other:
                self.pictures.show_spec(spec, [name for name, _ in seen.dataset.classes])
            self.pictures.show_taken(taken[0] if len(taken) == 1 else None)

    def applied(self, spec: DataSpec) -> DataSpec:
        """The data as it is to be read. Raises InvalidSettingError for what makes no sense."""
        if spec.kind.value == "tfrecord":
            return replace(spec, features=self.features.features())
        if spec.kind.value == "images":
            return replace(
                spec,
                image_size=self.pictures.image_size,
                color=self.pictures.color_mode,
                class_names=self.pictures.class_names,
            )
        return spec

    def problem(self) -> str:
        """What has to be put right before it can be run; it is shown here. "" for nothing."""
        kind = self._seen.spec.kind.value if self._seen is not None else ""
        if self._seen is None or kind != "tfrecord":
            self.note.say()
            return self.pictures.problem() if kind == "images" else ""
        try:
            self.applied(self._seen.spec)
        except CkptviewerError as error:
            text = f"{capitalised(error.what)}. {error.remedy}".strip()
            self.note.say(problem=text)
            return text
        self.note.say()
        return ""

    def _spec(self, seen: SeenData) -> DataSpec:
        """The data as the recipe reads it, where it is the recipe's."""
        recipe = self._recipe
        if recipe is None or recipe.paths != seen.spec.paths or recipe.kind is not seen.spec.kind:
            return seen.spec
        return recipe
