"""How a validation's page lies: the set-up to the left; problems, stages and results right."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QStackedLayout, QVBoxLayout, QWidget

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.problem_card import ProblemCard
from ckptviewer.ui.panels.stages import Stages
from ckptviewer.ui.panels.validation_results import ValidationResults
from ckptviewer.ui.panels.validation_setup import ValidationSetup
from ckptviewer.ui.panels.view import View


class ValidationPage(View):
    """All parts of the page, empty; leaves it to others what is done with them."""

    filter_hint = "Filter: words of a variable, a class, an example"
    menu_title = "&Validation"

    def __init__(self, path: str, appearance: Appearance) -> None:
        """path: of the checkpoint."""
        super().__init__()
        self._path, self._appearance = path, appearance
        self.stages = Stages(appearance)
        self.problem = ProblemCard(appearance)
        self._lay_out()

    def _lay_out(self) -> None:
        """From the outside in: each widget is styled once, and not anew with all that is in it
        whenever it gets a parent.
        """
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        outer.addWidget(splitter)
        self.setup = ValidationSetup(self._path, self._appearance, splitter)
        self.setup.setMinimumWidth(300)
        splitter.addWidget(self.setup)
        right = QWidget(splitter)
        right.setObjectName("page")
        right.setMinimumWidth(420)
        splitter.addWidget(right)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([360, 920])
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.problem)
        pages = QWidget(right)
        column.addWidget(pages, 1)
        self._stack = QStackedLayout(pages)
        self.tabs = ValidationResults(self._appearance, pages)
        self._stack.addWidget(self.tabs)
        self._stack.addWidget(self.stages)
