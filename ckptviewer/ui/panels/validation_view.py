"""The page of a validation: the set-up to the left, what would bind and what came of it right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs, error_text
from ckptviewer.ui.likely_files import LikelyFiles, likely_files
from ckptviewer.ui.panels.recipe_files import RecipeFiles
from ckptviewer.ui.panels.validation_page import ValidationPage
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.validating import Validating
from ckptviewer.ui.validation_work import (
    Aim,
    Consent,
    Finished,
    Looked,
    SeenData,
    Task,
    shown_of,
)

if TYPE_CHECKING:
    from ckptviewer.validation.interpreters import Interpreter
    from ckptviewer.validation.protocol import ImpactSpec, ModelInfo, Outcome, Restored
    from ckptviewer.validation.recipe import Recipe

_PAGES_AFTER_MS = 150
_FOOT = (
    "The model runs in a process of its own: whatever becomes of it, this window goes on, and "
    "Cancel ends it within a second."
)


class ValidationView(ValidationPage):
    """Validates the checkpoint of a window.

    complete: a validation came to its end. failed: why one did not, in one line. export_wanted:
    keys of variables that an export is to keep.
    """

    complete = Signal()
    failed = Signal(str)
    export_wanted = Signal(list)

    def __init__(
        self, jobs: Jobs, appearance: Appearance, session: Session, settings: Settings
    ) -> None:
        """session: the window's own, which stays its own. settings: remember the interpreter."""
        super().__init__(session.checkpoint.path, appearance)
        self._jobs = jobs
        self._settings = settings
        self._finished: Finished | None = None
        self._showing: Finished | None = None
        self._log: tuple[str, str] = ("", "")
        self._last: Task | None = None
        self.validating = Validating(jobs)
        self.setup.python.set_path(settings.get("python", ""), tell=False)
        self.recipes = RecipeFiles(
            self._path, self.validating, self._recipe, lambda: self.setup.gain_runs, self
        )
        self._tools = [self.recipes.button()]
        self._connect()
        self._look_around()
        QTimer.singleShot(_PAGES_AFTER_MS, self, self._make_pages)

    # As a view.

    def title(self) -> str:
        name = os.path.basename(self._path.rstrip("/")) or self._path
        return f"{name}: validation"

    def tools(self) -> Sequence[QWidget]:
        return self._tools

    def fill_menu(self, menu: QMenu) -> None:
        for text, do in (
            ("&Run", self.run),
            ("&Cancel", self.validating.cancel),
            ("&Look inside the model\u2026", self.inspect),
            ("", None),
            ("&Open a recipe\u2026", self.recipes.choose),
            ("&Save as recipe\u2026", self.recipes.ask_where),
            ("Copy as command &line", self.recipes.copy_command),
            ("", None),
            ("Show the lo&g", self.show_log),
            ("Copy the result as &JSON", self.copy_document),
        ):
            if do is None:
                menu.addSeparator()
            else:
                menu.addAction(text).triggered.connect(lambda _=False, do=do: do())

    def apply_filter(self, text: str) -> None:
        self.tabs.apply_filter(text)

    def enter(self) -> None:
        (self.setup.run if self.setup.run.isEnabled() else self.setup.model).setFocus()

    def reload(self) -> None:
        self.run()

    def leave(self) -> None:
        self._showing = None
        self.validating.stop()
        self.stages.finish()

    # What can be done with it.

    def choose_model(self, path: str) -> None:
        """Take another model."""
        self.setup.model.set_path(path)

    def run(self) -> None:
        """Validate, as the set-up says; whoever has not consented is asked first."""
        recipe = self._recipe()
        if recipe is not None:
            self._start(Task(aim=Aim.VALIDATE, recipe=recipe, gain_runs=self.setup.gain_runs))

    def inspect(self) -> None:
        """Load the model, and ask it for its inputs."""
        recipe = self._recipe()
        if recipe is not None:
            self._start(Task(aim=Aim.INSPECT, recipe=recipe))

    def measure_impact(self, spec: ImpactSpec) -> None:
        """Change groups of variables one at a time, and rank them."""
        recipe = self._recipe()
        if recipe is not None:
            self._start(Task(aim=Aim.IMPACT, recipe=recipe, impact=spec))

    def copy_document(self) -> None:
        """Put the result on the clipboard, as `ckptviewer validate --json` prints it."""
        import json

        if self._finished is not None:
            document = self._finished.report.as_document()
            QGuiApplication.clipboard().setText(json.dumps(document, indent=1))
            self.told.emit("Copied the result as JSON")

    def show_log(self) -> None:
        """Show what the last worker printed."""
        from ckptviewer.ui.dialogs.log_dialog import LogDialog, log_text

        path, tail = self._log
        if not (path or tail):
            self.told.emit("Nothing was run yet.")
            return

        def show(text: str) -> None:
            LogDialog(text, path, self._appearance, self).show()

        self.validating.aside(lambda _cancel: log_text(path, tail), show)

    # How it goes on.

    def _recipe(self) -> Recipe | None:
        """What the set-up says; what is wrong with it is told in place."""
        wrong = self.setup.problem()
        if wrong:
            self.problem.show_note(wrong)
            return None
        try:
            recipe = self.setup.recipe()
        except CkptviewerError as error:
            self.problem.show_error(error)
            return None
        self.problem.hide()
        return recipe

    def _start(self, task: Task) -> None:
        if self.validating.is_running:
            self.told.emit("One at a time: Esc cancels what runs.")
            return
        self._last = task
        self.validating.start(task)

    def _start_last(self) -> None:
        """Try again, with the set-up as it is now."""
        last = self._last
        if last is None:
            return
        if last.aim is Aim.INSPECT:
            self.inspect()
        elif last.impact is not None:
            self.measure_impact(last.impact)
        else:
            self.run()

    def _ask(self, consent: Consent) -> None:
        from ckptviewer.ui.dialogs.approval_dialog import ApprovalDialog

        dialog = ApprovalDialog(consent, self._appearance, self)
        dialog.agreed.connect(lambda kept: self.validating.go_on(consent, remember=kept))
        dialog.rejected.connect(lambda: self.problem.show_note("Nothing was run."))
        self.dialog = dialog
        dialog.open()

    def _begin(self, task: Task) -> None:
        self.problem.hide()
        self._showing = None
        self.setup.setEnabled(False)
        self.stages.begin(task.aim.value, _FOOT)
        self._stack.setCurrentWidget(self.stages)

    def _end(self) -> None:
        self.stages.finish()
        self.setup.setEnabled(True)
        self._stack.setCurrentWidget(self.tabs)

    def _show_finished(self, finished: Finished) -> None:
        self._end()
        self._finished = self._showing = finished
        self._note_log(finished.report.outcome)
        steps = self.tabs.steps_to_show(finished)
        QTimer.singleShot(0, self, lambda: self._go_on(finished, steps))

    def _go_on(self, finished: Finished, steps: Iterator[Callable[[], None]]) -> None:
        """Show the next of a result, and the rest after other events."""
        if finished is not self._showing:
            return
        step = next(steps, None)
        if step is not None:
            step()
            QTimer.singleShot(0, self, lambda: self._go_on(finished, steps))
            return
        outcome = finished.report.outcome
        if outcome.model is not None:
            self._show_info(outcome.model, outcome.restored.get("a"))
        self.told.emit(self.tabs.overview.head.text())
        self.complete.emit()

    def _show_info(self, info: ModelInfo, restored: Restored | None) -> None:
        self.setup.show_info(info)
        keys = {e.name: e.key for e in restored.bound} if restored is not None else {}
        impact = self.tabs.impact
        impact.show_model(info, keys, with_other=bool(self.setup.against.path))
        self.tabs.show_tab(impact, bool(self.setup.data_paths) and bool(info.variables))

    def _show_inspected(self, outcome: Outcome) -> None:
        self._end()
        self._note_log(outcome)
        if outcome.model is not None:
            self._show_info(outcome.model, None)
            self.told.emit(self.setup.model_note.text())

    def _show_ranked(self, outcome: Outcome) -> None:
        self._end()
        self._note_log(outcome)
        self.tabs.impact.show_impact(outcome.impact)
        self.tabs.setCurrentWidget(self.tabs.impact)
        self.complete.emit()

    def _show_failure(self, error: BaseException) -> None:
        self._end()
        self._log = (getattr(error, "log_path", ""), getattr(error, "log_tail", ""))
        outcome = getattr(error, "outcome", None)
        if outcome is not None and outcome.restored:
            self.tabs.show_part(outcome, shown_of(outcome))
            if outcome.model is not None:
                self._show_info(outcome.model, outcome.restored.get("a"))
        self.problem.show_error(error)
        self.failed.emit(self.problem.text())

    def _show_cancelled(self) -> None:
        self._end()
        self.problem.show_note("Cancelled: the model\u2019s process was ended.")

    def _note_log(self, outcome: Outcome) -> None:
        self._log = (outcome.log_path, "")

    def _look(self, model: str) -> None:
        if model:
            self.tabs.show_no_model("Looking at the model\u2026", "")
            self.validating.look(self._path, model)
        else:
            self.validating.forget_model()
            self.tabs.show_no_model()

    def _show_looked(self, looked: Looked) -> None:
        self.setup.show_looked(looked)
        self.tabs.show_looked(looked)

    def _show_no_model(self, error: BaseException) -> None:
        self.setup.show_model_problem(_line(error))
        self.tabs.show_no_model("There is no model to restore into.", _line(error))

    def _see(self, _path: str) -> None:
        paths = self.setup.data_paths
        if paths:
            self.validating.see(paths)
        else:
            self.validating.forget_data()

    def _show_seen(self, seen: SeenData) -> None:
        self.setup.show_seen(seen)

    def _take_recipe(self, recipe: Recipe) -> None:
        self.setup.show_recipe(recipe)
        if os.path.abspath(recipe.checkpoint) != os.path.abspath(self._path):
            self.problem.show_note(
                f"The recipe is for {recipe.checkpoint}; it runs on the checkpoint that is open."
            )

    def _look_around(self) -> None:
        path = self._path
        self.validating.aside(lambda _cancel: likely_files(path), self._propose)
        pool = self._jobs.workers

        def find(cancel: CancelToken) -> list[Interpreter]:
            from ckptviewer.validation.interpreters import find_interpreters

            return find_interpreters(near=[path], pool=pool, cancel=cancel)

        self.validating.aside(find, self.setup.show_interpreters)

    def _propose(self, likely: LikelyFiles) -> None:
        self.setup.propose(likely)
        self.enter_if_shown()

    def _make_pages(self) -> None:
        """Make the pages of results one by one, while nothing else is done."""
        if self.tabs.make_next():
            QTimer.singleShot(_PAGES_AFTER_MS, self, self._make_pages)

    def enter_if_shown(self) -> None:
        """Take the focus where nothing else of the page has it."""
        focused = self.focusWidget()
        if self.isVisible() and (focused is None or focused is self.setup.model):
            self.enter()

    def _take_python(self, path: str) -> None:
        self._settings.set("python", path)
        self._settings.save()
        if path and not self.setup.knows(path):

            def ask(_cancel: CancelToken) -> Interpreter:
                from ckptviewer.validation.interpreters import ask_interpreter

                return ask_interpreter(path)

            self.validating.aside(ask, self.setup.show_interpreter)

    def _hear_progress(self, event: Any) -> None:
        self.stages.hear(event)

    def _connect(self) -> None:
        work, setup = self.validating, self.setup
        setup.model_chosen.connect(self._look)
        setup.data_chosen.connect(self._see)
        setup.python_chosen.connect(self._take_python)
        setup.against.chosen.connect(lambda path: self.tabs.offer_other(bool(path)))
        setup.inspect_wanted.connect(self.inspect)
        setup.run_wanted.connect(self.run)
        work.looked.connect(self._show_looked)
        work.not_looked.connect(self._show_no_model)
        work.seen.connect(self._show_seen)
        work.not_seen.connect(lambda error: setup.show_data_problem(_line(error)))
        work.consent_wanted.connect(self._ask)
        work.begun.connect(self._begin)
        work.heard.connect(self._hear_progress)
        work.finished.connect(self._show_finished)
        work.inspected.connect(self._show_inspected)
        work.ranked.connect(self._show_ranked)
        work.failed.connect(self._show_failure)
        work.cancelled.connect(self._show_cancelled)
        self.stages.cancel_wanted.connect(work.cancel)
        self.problem.log_wanted.connect(self.show_log)
        self.problem.again_wanted.connect(self._start_last)
        self.tabs.log_wanted.connect(self.show_log)
        self.tabs.measure_wanted.connect(self.measure_impact)
        self.tabs.essential.connect(self.export_wanted)
        self.tabs.told.connect(self.told)
        self.recipes.opened.connect(self._take_recipe)
        self.recipes.told.connect(self.told)
        self.recipes.failed.connect(self.problem.show_error)


def _line(error: BaseException) -> str:
    what, where, remedy = error_text(error)
    sentence = capitalised(what).rstrip(".") + "."
    return " ".join(filter(None, (sentence, remedy if remedy else where)))
