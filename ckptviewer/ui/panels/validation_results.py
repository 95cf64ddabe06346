"""The tabs of a validation: what would bind, and once it has run all that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from ckptviewer.validation.protocol import Outcome

_NO_MODEL = "Choose the model that belongs to this checkpoint."
_NO_MODEL_MORE = (
    "What of the checkpoint binds to it, and what does not, is told here before anything is run."
)


class ValidationResults(QTabWidget):
    """Shows only the tabs that there is something for. told: what was copied, in words."""

    told = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setDocumentMode(True)
        name_tabs(self, "Results of the validation")
        self.restore = RestorePanel(appearance)
        self.overview = ResultOverview(appearance)
        self.restored = {side: RestorePanel(appearance) for side in ("a", "b")}
        self.classes, self.examples = ClassesPage(appearance), ExamplesPage(appearance)
        self.read_back, self.agreement = ReadBackPage(appearance), AgreementPage(appearance)
        self.impact, self.earlier = ImpactPage(appearance), EarlierPage(appearance)
        for page, title in (
            (self.restore, "Will it restore?"),
            (self.overview, "Result"),
            (self.classes, "Classes"),
            (self.examples, "Worst examples"),
            (self.read_back, "Read-back"),
            (self.agreement, "A and B"),
            (self.restored["a"], "Restored"),
            (self.restored["b"], "Restored B"),
            (self.impact, "Impact"),
            (self.earlier, "Earlier"),
        ):
            self.addTab(page, title)
        self.impact.copied.connect(self.told)
        for panel in (self.restore, *self.restored.values()):
            panel.copied.connect(self.told)
        self.overview.restore_wanted.connect(lambda: self.setCurrentWidget(self.restore))
        self.show_no_model()

    def show_tab(self, page: QWidget, shown: bool) -> None:
        """Show the tab of a page, or not."""
        self.setTabVisible(self.indexOf(page), shown)

    def is_shown(self, page: QWidget) -> bool:
        """Whether a page has a tab now."""
        return self.isTabVisible(self.indexOf(page))

    def apply_filter(self, text: str) -> None:
        """Show only the rows with all these words, on every page."""
        for table in (
            self.overview.failing,
            self.classes.table,
            self.examples.table,
            self.read_back.table,
            self.agreement.table,
            self.impact.table,
            self.earlier.table,
        ):
            table.rows.filter_words(text)
        for panel in (self.restore, *self.restored.values()):
            panel.apply_filter(text)

    # Before anything runs.

    def show_no_model(self, headline: str = _NO_MODEL, more: str = _NO_MODEL_MORE) -> None:
        """There is no model that could be looked at; what was found with another goes."""
        for at in range(self.count()):
            self.setTabVisible(at, self.widget(at) is self.restore)
        self.impact.show_impact(None)
        self.restore.show_unknown(headline, more)

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
        report = finished.report
        self.overview.show_finished(finished)
        self.show_outcome(report.outcome, finished.shown)
        if report.against:
            self.agreement.show_report(report)
        self.show_tab(self.agreement, bool(report.against))
        self.earlier.show_earlier(finished.earlier)
        self.show_tab(self.earlier, True)
        self.show_tab(self.overview, True)
        self.setCurrentWidget(self.overview)

    def show_part(self, outcome: Outcome, shown: Shown) -> None:
        """Show what was found by a validation that came to nothing."""
        for page in (self.overview, self.agreement, self.earlier):
            self.show_tab(page, False)
        self.show_outcome(outcome, shown)
        self.setCurrentWidget(self.restored["a"])

    def show_outcome(self, outcome: Outcome, shown: Shown) -> None:
        """Show what was found, be the validation finished or not."""
        for side, panel in self.restored.items():
            found = outcome.restored.get(side)
            if found is not None:
                panel.show_restored(found, shown.restored[side])
            self.show_tab(panel, found is not None)
        title = "Restored A" if "b" in outcome.restored else "Restored"
        self.setTabText(self.indexOf(self.restored["a"]), title)
        self.read_back.show_rows(shown.read_back, both="b" in outcome.read_back)
        self.show_tab(self.read_back, bool(shown.read_back))
        measured = outcome.measurements.get("a")
        if measured is not None:
            self.classes.show_measured(measured)
            self.examples.show_measured(measured)
        self.show_tab(self.classes, bool(measured and measured.classes))
        self.show_tab(self.examples, bool(measured and measured.worst))
