"""The inspector of a whole checkpoint: summary, map of bytes, all histograms, what stands out."""

from __future__ import annotations

from collections.abc import Collection

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.checkpoint.tree import VariableTree
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.findings import FindingsPanel
from ckptviewer.ui.panels.histogram_sheet import HistogramSheet
from ckptviewer.ui.panels.overview import OverviewPanel
from ckptviewer.ui.panels.ranking import RankingPanel
from ckptviewer.ui.panels.treemap_view import TreemapView
from ckptviewer.ui.panels.widgets import name_tabs
from ckptviewer.ui.session import Session

SUMMARY_TAB, SHEET_TAB, RANKING_TAB = 0, 2, 3


class CheckpointPanel(QWidget):
    """Shows a checkpoint.

    chosen: a group, or the row of a variable, that was clicked. key_chosen: a variable, by its key.
    measure_all_wanted: those that were not measured unasked are wanted, too.
    """

    chosen = Signal(object)
    key_chosen = Signal(str)
    measure_all_wanted = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self.summary = OverviewPanel(appearance)
        self.map = TreemapView(jobs, appearance)
        self.sheet = HistogramSheet(appearance)
        self.ranking = RankingPanel(jobs, appearance)
        self.findings = FindingsPanel(jobs, appearance)
        for view in (self.map, self.sheet, self.ranking):
            view.chosen.connect(self.chosen)
        self.findings.chosen.connect(self.key_chosen)
        self.tabs = QTabWidget()
        name_tabs(self.tabs, "Views of the checkpoint")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.summary, "Summary")
        self.tabs.addTab(_padded(self.map), "Map")
        self.tabs.addTab(self._sheet_page(), "Histograms")
        self.tabs.addTab(self.ranking, "Stands out")
        self.tabs.addTab(self.findings, "Findings")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.tabs)
        self._session: Session | None = None
        self._measuring = self._shows_several = False
        self._rest_text = QLabel()
        self._rest_text.setObjectName("muted")
        self.rest = self._make_rest()
        column.addWidget(self.rest)
        self.tabs.currentChanged.connect(self._note_tab)

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, or none."""
        self._session = session
        self.show_tree(session.tree if session else None)
        self.sheet.show_session(session)
        self.ranking.show_session(session)
        self.findings.show_session(session)

    def show_tree(self, tree: VariableTree | None) -> None:
        """The checkpoint is arranged in another way."""
        self.map.show_tree(tree)

    def show_selection(self, rows: Collection[int] | None, *, several: bool = False) -> None:
        """Show histograms of these rows of the checkpoint's list only; None: of all.

        several: they are variables that were selected one by one. Then their histograms are what
        is in sight, unless somebody looks at another tab, until something else is selected.
        """
        self.sheet.show_rows(rows)
        if several and self.tabs.currentIndex() == SUMMARY_TAB:
            self.tabs.setCurrentIndex(SHEET_TAB)
            self._shows_several = True
        elif not several and self._shows_several:
            self.tabs.setCurrentIndex(SUMMARY_TAB)

    def refresh(self) -> None:
        """More has been measured."""
        self.sheet.refresh()
        self.ranking.refresh()
        self._tell_rest()

    def tell_measuring(self, all_wanted: bool) -> None:
        """Whether all variables are going to be measured."""
        self._measuring = all_wanted
        self._tell_rest()

    def _note_tab(self, _tab: int) -> None:
        self._shows_several = False
        self._tell_rest()

    def _tell_rest(self) -> None:
        """Offer to measure what is not measured unasked, where its absence shows."""
        session = self._session
        here = self.tabs.currentIndex() in (SHEET_TAB, RANKING_TAB)
        if session is None or self._measuring or not here:
            self.rest.hide()
            return
        measured, all_ = len(session.sketches), len(session.checkpoint.variables)
        self._rest_text.setText(
            f"{count_text(measured)} of {plural(all_, 'variable')} measured: those that were shown"
        )
        self.rest.setVisible(measured < all_)

    def _make_rest(self) -> QWidget:
        rest = QWidget()
        rest.setObjectName("strip")
        rest.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        button = QPushButton("Measure all")
        button.setToolTip("Read all values, for all histograms and the ranking")
        button.clicked.connect(self.measure_all_wanted)
        row = QHBoxLayout(rest)
        row.setContentsMargins(14, 6, 12, 6)
        row.addWidget(self._rest_text, 1)
        row.addWidget(button)
        rest.hide()
        return rest

    def _sheet_page(self) -> QWidget:
        page = QWidget()
        save = QPushButton("Save as picture\u2026")
        save.setToolTip("Save all histograms as one picture")
        save.clicked.connect(self._save_sheet)
        row = QHBoxLayout()
        row.setContentsMargins(20, 10, 20, 0)
        row.addStretch(1)
        row.addWidget(save)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.sheet, 1)
        return page

    def _save_sheet(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save all histograms", "histograms.png", "Pictures (*.png)"
        )
        if path:
            self.sheet.save_picture(path)


def _padded(view: QWidget) -> QWidget:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(20, 12, 20, 14)
    column.addWidget(view)
    return page
