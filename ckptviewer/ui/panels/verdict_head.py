"""A verdict at the head of a page: a mark, a sentence, and what belongs to it."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import wrapped_label

_SIZE = 30


class VerdictHead(QWidget):
    """Says yes, no or perhaps: by a mark, by words, and by colour last."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._mark = _Mark(appearance)
        self._sentence = wrapped_label("")
        self._sentence.setFont(appearance.title_font)
        self._more = wrapped_label("", "muted")
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(self._sentence)
        words.addWidget(self._more)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    def show_verdict(self, sentence: str, good: bool | None, more: str = "") -> None:
        """Show a sentence. good: None where it is not certain, or not yet known."""
        self._sentence.setText(_breakable(sentence))
        self._sentence.setAccessibleName(sentence)
        self._more.setText(_breakable(more))
        self._more.setAccessibleName(more)
        self._more.setVisible(bool(more))
        self._mark.show_mark(good)

    def text(self) -> str:
        """The sentence."""
        return self._sentence.accessibleName()

    def more(self) -> str:
        """What is said beneath it."""
        return self._more.accessibleName()


class _Mark(QWidget):
    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._good: bool | None = None
        self.setFixedSize(_SIZE, _SIZE)
        appearance.changed.connect(self.update)

    def show_mark(self, good: bool | None) -> None:
        self._good = good
        self.setAccessibleName({True: "yes", False: "no", None: "not certain"}[good])
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self._appearance.theme
        colour = {True: theme.good, False: theme.error, None: theme.accent}[self._good]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(1, 1, _SIZE - 2, _SIZE - 2)
        pen = QPen(QColor(theme.base), 2.6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        middle = _SIZE / 2
        if self._good:
            painter.drawPolyline(QPolygonF(_points((9, 15.5), (13.2, 19.8), (21, 11))))
        elif self._good is False:
            painter.drawPolyline(QPolygonF(_points((10.5, 10.5), (19.5, 19.5))))
            painter.drawPolyline(QPolygonF(_points((19.5, 10.5), (10.5, 19.5))))
        else:
            painter.drawPolyline(QPolygonF(_points((middle, 13.5), (middle, 21.5))))
            painter.drawPoint(QPointF(middle, 8.8))


def _points(*places: tuple[float, float]) -> list[QPointF]:
    return [QPointF(x, y) for x, y in places]


def _breakable(text: str) -> str:
    return text.replace("/", "/\u200b").replace("_", "_\u200b")
