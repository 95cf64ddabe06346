"""The tabs of a validation: what would bind, and once it has run all that came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QWidget

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.impact_page import ImpactPage
from ckptviewer.ui.panels.restore_panel import RestorePanel
from ckptviewer.ui.panels.result_overview import ResultOverview
from ckptviewer.ui.panels.result_pages import (
    AgreementPage,
    ClassesPage,
    EarlierPage,
    ExamplesPage,
    ReadBackPage,
)
from ckptviewer.ui.panels.widgets import name_tabs

if TYPE_CHECKING:
    from ckptviewer.ui.validation_work import Finished, Looked, Shown
    from ckptviewer.validation.protocol import Outcome, Restored

_Page = TypeVar("_Page", bound=QWidget)

_NO_MODEL = "Choose the model that belongs to this checkpoint."
_NO_MODEL_MORE = (
    "What of the checkpoint binds to it, and what does not, is told here before anything is run."
)


_TITLES = {
    "restore": "Will it restore?",
    "overview": "Result",
    "classes": "Classes",
    "examples": "Worst examples",
    "read_back": "Read-back",
    "agreement": "A and B",
    "restored_a": "Restored",
    "restored_b": "Restored B",
    "impact": "Impact",
    "earlier": "Earlier",
}
"""Of the tabs, in their order, by the names of the pages."""


class ValidationResults(QTabWidget):
    """Shows only the tabs that there is something for; a page is made when it is first wanted.

    told: what was copied, in words. log_wanted: what the worker printed is to be shown.
    measure_wanted, essential: as of ImpactPage.
    """

    told = Signal(str)
    log_wanted = Signal()
    measure_wanted = Signal(object)
    essential = Signal(list)

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._filter = ""
        self._with_other = False
        self.setDocumentMode(True)
        name_tabs(self, "Results of the validation")
        self.show_no_model()

    # The pages.

    @cached_property
    def restore(self) -> RestorePanel:
        """What the files tell."""
        return self._restore_panel("restore")

    @cached_property
    def overview(self) -> ResultOverview:
        """The verdict, and what it is made of."""
        page = self._add("overview", ResultOverview(self._appearance))
        page.restore_wanted.connect(lambda: self.setCurrentWidget(self.restore))
        page.log_wanted.connect(self.log_wanted)
        return page

    @cached_property
    def classes(self) -> ClassesPage:
        """Metrics of each class, and which are taken for which."""
        return self._add("classes", ClassesPage(self._appearance))

    @cached_property
    def examples(self) -> ExamplesPage:
        """The worst examples."""
        return self._add("examples", ExamplesPage(self._appearance))

    @cached_property
    def read_back(self) -> ReadBackPage:
        """Every variable after the restore."""
        return self._add("read_back", ReadBackPage(self._appearance))

    @cached_property
    def agreement(self) -> AgreementPage:
        """How far A and B agree."""
        return self._add("agreement", AgreementPage(self._appearance))

    @cached_property
    def restored_a(self) -> RestorePanel:
        """What the restore of A did."""
        return self._restore_panel("restored_a")

    @cached_property
    def restored_b(self) -> RestorePanel:
        """What the restore of B did."""
        return self._restore_panel("restored_b")

    @cached_property
    def impact(self) -> ImpactPage:
        """Which variables the output needs."""
        page = self._add("impact", ImpactPage(self._appearance))
        page.offer_other(self._with_other)
        page.copied.connect(self.told)
        page.measure_wanted.connect(self.measure_wanted)
        page.essential.connect(self.essential)
        return page

    @cached_property
    def earlier(self) -> EarlierPage:
        """What was measured before."""
        return self._add("earlier", EarlierPage(self._appearance))

    @property
    def restored(self) -> dict[str, RestorePanel]:
        """What the restores did, by "a" and "b"."""
        return {"a": self.restored_a, "b": self.restored_b}

    def make_next(self) -> bool:
        """Make a page ahead of its time; whether there is another to be made."""
        missing = [name for name in _TITLES if not self._is_made(name)]
        for name in missing[:1]:
            getattr(self, name)
        return len(missing) > 1

    def offer_other(self, offered: bool) -> None:
        """Whether there is a second checkpoint to take values from."""
        self._with_other = offered
        if self._is_made("impact"):
            self.impact.offer_other(offered)

    def _is_made(self, name: str) -> bool:
        return name in self.__dict__

    def _restore_panel(self, name: str) -> RestorePanel:
        page = self._add(name, RestorePanel(self._appearance))
        page.copied.connect(self.told)
        return page

    def _add(self, name: str, page: _Page) -> _Page:
        """Put the page in its place among those that are made, hidden, and filter it."""
        names = list(_TITLES)
        at = sum(self._is_made(each) for each in names[: names.index(name)])
        self.insertTab(at, page, _TITLES[name])
        self.setTabVisible(at, name == "restore")
        if self._filter:
            _filter(page, self._filter)
        return page

    def show_tab(self, page: QWidget, shown: bool) -> None:
        """Show the tab of a page, or not."""
        self.setTabVisible(self.indexOf(page), shown)

    def is_shown(self, page: QWidget) -> bool:
        """Whether a page has a tab now."""
        return self.isTabVisible(self.indexOf(page))

    def apply_filter(self, text: str) -> None:
        """Show only the rows with all these words, on every page."""
        self._filter = text
        for at in range(self.count()):
            _filter(self.widget(at), text)

    # Before anything runs.

    def show_no_model(self, headline: str = _NO_MODEL, more: str = _NO_MODEL_MORE) -> None:
        """There is no model that could be looked at; what was found with another goes."""
        self.restore.show_unknown(headline, more)
        for at in range(self.count()):
            self.setTabVisible(at, self.widget(at) is self.restore)
        if self._is_made("impact"):
            self.impact.show_impact(None)

    def show_looked(self, looked: Looked) -> None:
        """Show what the files tell."""
        if looked.expected is not None and looked.told is not None:
            self.restore.show_report(looked.expected, looked.told)
        else:
            more = f"{looked.why} Run the validation: nothing is left unsaid then."
            self.restore.show_unknown("Only the loaded model can tell what binds.", more)
        self.setCurrentWidget(self.restore)

    # When it has run.

    def show_finished(self, finished: Finished) -> None:
        """Show a validation that came to its end."""
        for step in self.steps_to_show(finished):
            step()

    def steps_to_show(self, finished: Finished) -> Iterator[Callable[[], None]]:
        """Shows it step by step, what matters most first, so that events are heard in between."""
        report = finished.report
        yield lambda: self._show_overview(finished)
        yield from self._steps(report.outcome, finished.shown)
        if report.against:
            yield lambda: self.agreement.show_report(report)
        self._show_if("agreement", bool(report.against))
        yield lambda: self.earlier.show_earlier(finished.earlier)
        self._show_if("earlier", True)

    def show_part(self, outcome: Outcome, shown: Shown) -> None:
        """Show what was found by a validation that came to nothing."""
        for name in ("overview", "agreement", "earlier"):
            self._show_if(name, False)
        for step in self._steps(outcome, shown):
            step()
        self.setCurrentWidget(self.restored_a)

    def _show_overview(self, finished: Finished) -> None:
        self.overview.show_finished(finished)
        self._show_if("overview", True)
        self.setCurrentWidget(self.overview)

    def _steps(self, outcome: Outcome, shown: Shown) -> Iterator[Callable[[], None]]:
        """Show what was found, be the validation finished or not."""
        for side in ("a", "b"):
            found = outcome.restored.get(side)
            if found is not None:
                yield partial(self._show_restored, side, found, shown)
            self._show_if(f"restored_{side}", found is not None)
        yield lambda: self.read_back.show_rows(shown.read_back, both="b" in outcome.read_back)
        self._show_if("read_back", bool(shown.read_back))
        measured = outcome.measurements.get("a")
        if measured is not None:
            yield lambda: self.classes.show_measured(measured)
            yield lambda: self.examples.show_measured(measured)
        self._show_if("classes", bool(measured and measured.classes))
        self._show_if("examples", bool(measured and measured.worst))

    def _show_restored(self, side: str, found: Restored, shown: Shown) -> None:
        panel = self.restored_a if side == "a" else self.restored_b
        panel.show_restored(found, shown.restored[side])
        if side == "a":
            both = "b" in shown.restored
            self.setTabText(self.indexOf(self.restored_a), "Restored A" if both else "Restored")

    def _show_if(self, name: str, shown: bool) -> None:
        """Show the tab of a page, or not; what was never made is not shown."""
        if shown or self._is_made(name):
            self.show_tab(getattr(self, name), shown)


def _filter(page: QWidget | None, text: str) -> None:
    if isinstance(page, RestorePanel):
        page.apply_filter(text)
    elif isinstance(page, ResultOverview):
        page.failing.rows.filter_words(text)
    else:
        page.table.rows.filter_words(text)  # type: ignore[union-attr]
