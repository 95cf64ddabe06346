"""The set-up of a validation: model, data, metrics, a second checkpoint, the interpreter."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.likely_files import LikelyFiles, is_for_validation
from ckptviewer.ui.panels.setup_fields import SetupFields
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.validation_work import RANDOM, Looked, SeenData

if TYPE_CHECKING:
    from ckptviewer.validation.interpreters import Interpreter
    from ckptviewer.validation.protocol import DataSpec, ModelInfo, SignatureInfo
    from ckptviewer.validation.recipe import Recipe

_KINDS = {
    "saved-model": "SavedModel",
    "keras": "Keras model",
    "meta-graph": "Graph of TensorFlow 1, restored by its Saver",
    "factory": "Python function that makes the model",
}
_DEFAULT_GAIN_RUNS = 3


class ValidationSetup(SetupFields):
    """Asks what to validate, and how. `recipe` is what was answered.

    model_chosen, data_chosen: another path. python_chosen: another interpreter. inspect_wanted:
    the model is to be loaded and asked for its inputs. run_wanted: it is to be run. ready: whether
    it can be.
    """

    model_chosen = Signal(str)
    data_chosen = Signal(str)
    python_chosen = Signal(str)
    inspect_wanted = Signal()
    run_wanted = Signal()
    ready = Signal(bool)

    def __init__(
        self, checkpoint: str, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(checkpoint, appearance, parent)
        self._base: Recipe | None = None
        self._looked: Looked | None = None
        self._seen: SeenData | None = None
        self._info: ModelInfo | None = None
        self._interpreters: dict[str, Interpreter] = {}
        self._connect()
        self._tell_ready()

    # What is offered.

    def propose(self, likely: LikelyFiles) -> None:
        """Offer what lies beside the checkpoint; the likeliest is chosen where nothing was."""
        base = os.path.dirname(os.path.abspath(self._checkpoint))
        self.model.offer(likely.models, base)
        self.data.offer(likely.data, base)
        self.against.offer(likely.others, base)
        if not self.model.path and likely.models:
            self.model.set_path(likely.models[0])
        best = likely.data[0] if likely.data else ""
        if not self.data.path and is_for_validation(best) and self._base is None:
            self.data.set_path(best)
        if not self.model.path:
            self.model_note.say("No model lies beside the checkpoint: choose one.")

    def show_interpreters(self, found: Sequence[Interpreter]) -> None:
        """Offer the Pythons that were found; each says what it has, or why it cannot."""
        self._interpreters = {each.path: each for each in found}
        chosen = self.python.path
        self.python.offer([each.path for each in found if each.is_usable], "")
        if not chosen:
            usable = next((each for each in found if each.is_usable), None)
            if usable is not None:
                self.python.set_path(usable.path, tell=False)
        self._tell_interpreter()

    def show_interpreter(self, asked: Interpreter) -> None:
        """Show what one Python has that was not among those found."""
        self._interpreters[asked.path] = asked
        self._tell_interpreter()

    def knows(self, python: str) -> bool:
        """Whether it was asked already what this Python has."""
        return python in self._interpreters

    def show_looked(self, looked: Looked) -> None:
        """Show what the model's files tell."""
        self._looked = looked
        self.model_note.say(_KINDS[looked.spec.kind.value])
        self.inspect.setEnabled(True)
        self._tensors.setVisible(looked.spec.kind.value == "meta-graph")
        self._tell_ready()

    def show_model_problem(self, what: str) -> None:
        """Show why there is no model."""
        self._looked = None
        self.model_note.say(problem=what)
        self.inspect.setEnabled(False)
        self._tell_ready()

    def show_info(self, info: ModelInfo) -> None:
        """Show what the loaded model has: how it can be called, and its inputs."""
        self._info = info
        now = self.signature.currentText()
        self.signature.blockSignals(True)
        self.signature.clear()
        self.signature.addItems(["", *(each.name for each in info.signatures)])
        self.signature.setCurrentText(now)
        self.signature.blockSignals(False)
        called = self._called()
        if called is not None and self._looked is not None:
            takes = ", ".join(each.name for each in called.inputs)
            gives = ", ".join(each.name for each in called.outputs)
            count = len(info.variables)
            kind = _KINDS[info.kind.value]
            self.model_note.say(f"{kind}, {count} variables: {takes} \u2192 {gives}")
        from ckptviewer.validation.verdict import some

        placeholders = [each.tensor or each.name for each in info.placeholders]
        named = [f"{name}: {', '.join(each)}" for name, each in info.collections.items() if each]
        self.input_tensors.setToolTip(as_plain(f"Can be fed: {', '.join(placeholders)}"))
        self.output_tensors.setToolTip(as_plain("\n".join(named)))
        if placeholders and called is None:
            self.model_note.say(f"{_KINDS[info.kind.value]}; can be fed: {some(placeholders)}")
            self._model_more.open()
        self._show_inputs()

    def show_seen(self, seen: SeenData) -> None:
        """Show what is in the data."""
        from ckptviewer.validation.datasets import describe

        self._seen = seen
        found = [(e.severity, f"{e.message} {e.remedy}".strip()) for e in seen.dataset.findings]
        wrong = [text for severity, text in found if severity == "error"]
        told = [text for severity, text in found if severity != "error"]
        self.data_note.say(" ".join((describe(seen.dataset), *told)), " ".join(wrong))
        self._show_inputs()

    def show_data_problem(self, what: str) -> None:
        """Show why there is no data."""
        self._seen = None
        self.data_note.say(problem=what)
        self._show_inputs()

    def show_recipe(self, recipe: Recipe) -> None:
        """Take all answers from a recipe; what cannot be shown of it is kept."""
        self._base = recipe
        data = recipe.data
        self.custom_objects.setText(recipe.model.custom_objects)
        self.safe_mode.setChecked(recipe.model.safe_mode)
        self.signature.clear()
        self.signature.addItems(list(dict.fromkeys(("", recipe.model.signature))))
        self.signature.setCurrentText(recipe.model.signature)
        self.input_tensors.setText(", ".join(recipe.model.inputs))
        self.output_tensors.setText(", ".join(recipe.model.outputs))
        self.metrics.setText(", ".join(recipe.metrics.names))
        self.loss.setText(recipe.metrics.loss)
        self.predictions.setText(recipe.metrics.predictions_path)
        self.required.setText(", ".join(recipe.require))
        self.agreement.setText(f"{recipe.agreement_threshold:g}")
        self.statistics.setText(f"{recipe.statistics_threshold:g}")
        self.seconds.setValue(round(recipe.time_limit_seconds or 0))
        self.memory.setValue((recipe.memory_limit_bytes or 0) // 10**6)
        self.batch_size.setValue(data.batch_size if data is not None else 32)
        self.limit.setValue((data.limit or 0) if data is not None else 0)
        plain = next((e for e in data.preprocessing if not e.key), None) if data else None
        self.scale.setText(f"{plain.scale:g}" if plain is not None else "")
        self.offset.setText(f"{plain.offset:g}" if plain is not None else "")
        if recipe.python:
            self.python.set_path(recipe.python)
        self.against.set_path(recipe.against)
        self.model.set_path(recipe.model.path)
        self.reading.take(data)
        self._several = data.paths if data is not None else ()
        random = data is not None and data.kind.value == RANDOM
        self.data.set_path(RANDOM if random else os.pathsep.join(self._several))

    # What was answered.

    @property
    def data_paths(self) -> tuple[str, ...]:
        """The files of data; none where it is to be validated without."""
        path = self.data.path
        if not path:
            return ()
        if path == os.pathsep.join(self._several):
            return self._several
        return (path,)

    @property
    def gain_runs(self) -> int:
        """How often both checkpoints are run to see what was gained; 0 for not at all."""
        return _DEFAULT_GAIN_RUNS if self.gains.isChecked() and self.against.path else 0

    def problem(self) -> str:
        """What has to be put right before it can be run; "" where nothing has."""
        if self._looked is None or self._looked.text != self.model.path:
            return "Choose a model first." if not self.model.path else "The model is looked at."
        if self.data_note.has_problem:
            return "The data has to be put right."
        if self.reading.problem():
            return "How the data is read has to be put right."
        if self.data_paths and (self._seen is None or self._seen.paths != self.data_paths):
            return "The data is looked at."
        return ""

    def recipe(self) -> Recipe:
        """What is to be run. Raises CkptviewerError for what makes no sense."""
        from ckptviewer.validation.launcher import default_python
        from ckptviewer.validation.recipe import Recipe

        assert self._looked is not None
        base = self._base or Recipe(checkpoint=self._checkpoint, model=self._looked.spec)
        spec = self._looked.spec
        if base.model.path == spec.path and base.model.kind is spec.kind:
            spec = base.model
        recipe = replace(
            base,
            checkpoint=self._checkpoint,
            against=self.against.path,
            python="" if self.python.path == default_python() else self.python.path,
            require=tuple(_words(self.required.text())),
            agreement_threshold=_number(self.agreement, "agreement"),
            statistics_threshold=_number(self.statistics, "statistics"),
            time_limit_seconds=float(self.seconds.value()) or None,
            memory_limit_bytes=self.memory.value() * 10**6 or None,
            model=replace(
                spec,
                signature=self.signature.currentText(),
                inputs=tuple(_words(self.input_tensors.text())),
                outputs=tuple(_words(self.output_tensors.text())),
                custom_objects=os.path.expanduser(self.custom_objects.text().strip()),
                safe_mode=self.safe_mode.isChecked(),
            ),
            data=self._data(base),
            metrics=replace(
                base.metrics,
                names=tuple(_words(self.metrics.text())),
                loss=self.loss.text().strip(),
                predictions_path=self._beside(self.predictions.text()),
            ),
        )
        recipe.thresholds  # noqa: B018 - raises for what is no requirement
        return recipe

    def _beside(self, path: str) -> str:
        """The path of a file to write: one without a directory lies beside the checkpoint."""
        path = os.path.expanduser(path.strip())
        directory = os.path.dirname(os.path.abspath(self._checkpoint))
        return os.path.join(directory, path) if path else ""

    def _data(self, base: Recipe) -> DataSpec | None:
        from ckptviewer.validation.protocol import Preprocessing

        if not self.data_paths or self._seen is None:
            return None
        spec = self._seen.spec
        if base.data is not None and base.data.paths == spec.paths and base.data.kind is spec.kind:
            spec = replace(base.data, compression=spec.compression)
        spec = self.reading.applied(spec)
        target = self.inputs.target
        scale, offset = self.scale.text().strip(), self.offset.text().strip()
        plain = Preprocessing(
            scale=_number(self.scale, "scale") if scale else 1.0,
            offset=_number(self.offset, "offset") if offset else 0.0,
        )
        others = tuple(each for each in spec.preprocessing if each.key)
        return replace(
            spec,
            inputs=self._mapping(),
            target="" if target == self._seen.dataset.target else target,
            batch_size=self.batch_size.value(),
            limit=self.limit.value() or None,
            preprocessing=(plain, *others) if plain != Preprocessing() else others,
        )

    # How it goes on.

    def _called(self) -> SignatureInfo | None:
        """The way that the model is called, once it was loaded."""
        if self._info is None:
            return None
        chosen = self.signature.currentText() or self._info.signature
        found = [each for each in self._info.signatures if each.name == chosen]
        return next(iter(found or self._info.signatures), None)

    def _mapping(self) -> dict[str, str]:
        """Input to key; while the inputs are not known, as the recipe has it."""
        if self._called() is None and self._base is not None and self._base.data is not None:
            return dict(self._base.data.inputs)
        return self.inputs.inputs

    def _show_inputs(self) -> None:
        dataset = self._seen.dataset if self._seen is not None else None
        inputs, target = self.inputs.inputs, self.inputs.target
        if self._base is not None and self._base.data is not None and not inputs:
            inputs = dict(self._base.data.inputs)
            target = target or self._base.data.target
        if dataset is not None and target not in dataset.by_key:
            target = ""
        self.inputs.show_inputs(dataset, self._called(), inputs, target)
        self._tell_ready()

    def _tell_ready(self) -> None:
        called, seen = self._called(), self._seen
        self.reading.show_data(seen, called, self._mapping(), self.inputs.target)
        sound = seen is not None and seen.dataset.sound and not self.reading.problem()
        if called is not None and seen is not None and sound:
            self._check_fit(seen, called)
        problem = self.problem()
        self.run.setEnabled(not problem)
        self.run.setToolTip(problem or "Load the model, restore, read back, run the data (F5)")
        self.ready.emit(not problem)

    def _check_fit(self, seen: SeenData, called: SignatureInfo) -> None:
        """Tell at once where data and inputs do not fit; the worker would tell later."""
        from ckptviewer.validation.data_fit import check_inputs
        from ckptviewer.validation.datasets import describe

        spec = self.reading.applied(replace(seen.spec, inputs=self.inputs.inputs))
        wrong = [
            f"{each.message} {each.remedy}" for each in check_inputs(seen.dataset, spec, called)
        ]
        self.data_note.say(describe(seen.dataset), " ".join(wrong))

    def _take_model(self, path: str) -> None:
        self._looked = self._info = None
        self.inspect.setEnabled(False)
        self.model_note.say("Looking at it\u2026" if path else "")
        self._show_inputs()
        self.model_chosen.emit(path)

    def _take_data(self, path: str) -> None:
        self._seen = None
        self.data_note.say("Looking at it\u2026" if path else "")
        self._show_inputs()
        self.data_chosen.emit(path)

    def _take_python(self, path: str) -> None:
        self._tell_interpreter()
        self.python_chosen.emit(path)

    def _tell_interpreter(self) -> None:
        known = self._interpreters.get(self.python.path)
        if known is not None:
            told = f"{known.title} ({known.origin})"
            self.python_note.say(told if known.is_usable else "", known.problem)
        elif not self.python.path and self._interpreters:
            self.python_note.say(problem="No Python with TensorFlow was found: choose one.")
        else:
            self.python_note.say("")

    def _take_inputs(self) -> None:
        self._tell_ready()

    def _connect(self) -> None:
        self.model.chosen.connect(self._take_model)
        self.data.chosen.connect(self._take_data)
        self.python.chosen.connect(self._take_python)
        self.against.chosen.connect(self._show_against)
        self.signature.currentIndexChanged.connect(lambda _at: self._show_inputs())
        self.inspect.clicked.connect(lambda _=False: self.inspect_wanted.emit())
        self.run.clicked.connect(lambda _=False: self.run_wanted.emit())


def _words(text: str) -> list[str]:
    """Names parted by commas; a requirement may hold blanks."""
    return [re.sub(r"\s+", "", part) for part in text.split(",") if part.strip()]


def _number(edit: QLineEdit, name: str) -> float:
    import math

    from ckptviewer.checkpoint.errors import InvalidSettingError

    try:
        number = float(edit.text())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidSettingError(f"the {name} {edit.text()!r} is no number")
    return number
