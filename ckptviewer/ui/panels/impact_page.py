"""Which parameters the output needs: groups are changed one at a time, and ranked by the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.text import number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.table_rows import Cell, Heading, Row
from ckptviewer.ui.panels.buttons import ChoiceButton, flat_button
from ckptviewer.ui.panels.result_table import ResultTable
from ckptviewer.ui.panels.tick_delegate import TickDelegate
from ckptviewer.ui.panels.widgets import parted, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import Impact, ImpactSpec, ModelInfo, VariableInfo

MOST_LEAVES = 2000
"""Of a model with more variables groups are offered, and not each variable."""

METHODS = {
    "set to zero": "zero",
    "shuffled": "shuffle",
    "replaced by noise": "noise",
    "taken from B": "other",
}
_HEADINGS = (
    Heading(text="Group"),
    Heading(text="Variables", number=True),
    Heading(text="Metric then", number=True),
    Heading(text="Loss of metric", number=True, tool_tip="How much worse it became"),
    Heading(text="Same prediction", number=True, tool_tip="Share predicted as before"),
)


class ImpactPage(QWidget):
    """Lets groups be chosen, and shows their ranking.

    measure_wanted: an ImpactSpec. essential: keys in the checkpoint of the groups that are
    selected in the ranking, to be exported. copied: what was put on the clipboard, in words.
    """

    measure_wanted = Signal(object)
    essential = Signal(list)
    copied = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._keys: Mapping[str, str] = {}
        self._method = ChoiceButton("Each is", list(METHODS), "set to zero")
        self.measure = QPushButton("Measure the impact")
        self.measure.setObjectName("primary")
        self.measure.clicked.connect(lambda _=False: self._ask())
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Groups to change")
        self.tree.setHeaderHidden(True)
        self.tree.setItemDelegate(TickDelegate(appearance, self.tree))
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.itemChanged.connect(lambda _item, _column: self._count())
        self._note = wrapped_label("", "muted")
        self.table = ResultTable("Ranking", _HEADINGS, (200, 78, 96, 120, 120), appearance)
        self._export = flat_button("Export these", "Tick what is selected into an export")
        self._export.clicked.connect(lambda _=False: self.essential.emit(self.selected_keys()))
        self._copy = flat_button("Copy as --include", "Options of `ckptviewer export`")
        self._copy.clicked.connect(lambda _=False: self.copy_includes())
        self._lay_out()
        self.show_impact(None)

    def show_model(self, info: ModelInfo, keys: Mapping[str, str], *, with_other: bool) -> None:
        """Offer the groups of a model. keys: of its variables in the checkpoint, by name."""
        self._keys = keys
        before = {tuple(group) for _, group in self.groups()}
        self.tree.blockSignals(True)
        self.tree.clear()
        _fill(self.tree.invisibleRootItem(), info.variables, before)
        if self.tree.topLevelItemCount() <= 8:
            self.tree.expandToDepth(0)
        self.tree.blockSignals(False)
        self.offer_other(with_other)
        self._count()

    def offer_other(self, offered: bool) -> None:
        """Whether values can be taken from a second checkpoint."""
        for action in self._method.menu().actions():
            if METHODS.get(action.text()) == "other":
                action.setEnabled(offered)
        if not offered and METHODS[self._method.choice] == "other":
            self._method.choose("set to zero")

    def show_impact(self, impact: Impact | None) -> None:
        """Show a ranking, the group that the output needs most first."""
        self._measured = impact
        losses = [
            abs(each.loss_of_metric)
            for each in (impact.groups if impact is not None else ())
            if each.loss_of_metric is not None
        ]
        most = max(losses, default=0.0)
        rows = []
        for each in impact.groups if impact is not None else ():
            lost = each.loss_of_metric
            share = max(0.0, lost / most) if lost is not None and most else 0.0
            agreement = each.agreement
            cells = (
                Cell(each.name, tool_tip="\n".join(each.variables)),
                Cell(str(len(each.variables)), value=len(each.variables)),
                Cell(number_text(each.value), value=each.value),
                Cell(number_text(lost), value=lost, share=share),
                Cell(
                    "\u2013" if agreement is None else f"{agreement:.1%}",
                    value=agreement,
                ),
            )
            rows.append(Row(cells=cells, what=each))
        self.table.show_rows(rows)
        self.table.setVisible(impact is not None)
        for button in (self._export, self._copy):
            button.setVisible(impact is not None)
        if impact is not None:
            base = number_text(impact.baseline)
            how = next(word for word, value in METHODS.items() if value == impact.method.value)
            self._say(
                f"{impact.metric} is {base}. Each group was {how}, one at a time; what the "
                "output needs most stands first."
            )

    def groups(self) -> list[tuple[str, list[str]]]:
        """The groups that are ticked: the name, and the variables."""
        return [
            (item.data(0, Qt.ItemDataRole.UserRole)[0], item.data(0, Qt.ItemDataRole.UserRole)[1])
            for item in _items(self.tree.invisibleRootItem())
            if item.checkState(0) == Qt.CheckState.Checked
        ]

    def spec(self) -> ImpactSpec:
        """What is to be changed, and how."""
        from ckptviewer.validation.protocol import ImpactGroup, ImpactMethod, ImpactSpec

        groups = tuple(ImpactGroup(name=n, variables=tuple(v)) for n, v in self.groups())
        return ImpactSpec(groups=groups, method=ImpactMethod(METHODS[self._method.choice]))

    def selected_keys(self) -> list[str]:
        """The checkpoint's keys of the groups that are selected in the ranking; of all if none."""
        names = [name for row in self.table.selected_rows() for name in row.what.variables]
        return [self._keys[name] for name in dict.fromkeys(names) if name in self._keys]

    def copy_includes(self) -> None:
        """Put options for `ckptviewer export` on the clipboard that keep what is selected."""
        import shlex

        from ckptviewer.checkpoint.text import printable

        words = [word for key in self.selected_keys() for word in ("--include", key)]
        QGuiApplication.clipboard().setText(printable(shlex.join(words)))
        self.copied.emit("Copied as options of `ckptviewer export`")

    def _ask(self) -> None:
        if self.groups():
            self.measure_wanted.emit(self.spec())

    def _count(self) -> None:
        count = len(self.groups())
        self.measure.setEnabled(bool(count))
        self.measure.setText(f"Measure {plural(count, 'group')}" if count else "Tick some groups")

    def _say(self, text: str) -> None:
        self._note.setText(text)
        self._note.setAccessibleName(text)

    def _lay_out(self) -> None:
        self._say(
            "Tick the layers to try. Each is changed alone, the data runs again, and what the "
            "metric loses tells how much the output needs it."
        )
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addWidget(self.tree, 1)
        column.addWidget(self._method, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.measure)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(14, 12, 14, 8)
        column.setSpacing(8)
        column.addWidget(self._note)
        column.addWidget(self.table, 1)
        foot = QHBoxLayout()
        foot.addWidget(self._export)
        foot.addWidget(self._copy)
        foot.addStretch(1)
        column.addLayout(foot)
        column.addStretch(0)
        splitter = parted(
            Qt.Orientation.Horizontal,
            (left, 0, 250),
            (right, 0, 620),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)


def _fill(
    root: QTreeWidgetItem, variables: Sequence[VariableInfo], before: set[tuple[str, ...]]
) -> None:
    """Groups by the names' parts, with a box each; layers are ticked where nothing was before."""
    groups: dict[str, QTreeWidgetItem] = {"": root}
    members: dict[str, list[str]] = {}
    for variable in variables:
        parts = variable.name.removesuffix(":0").split("/")
        for depth in range(1, len(parts)):
            members.setdefault("/".join(parts[:depth]), []).append(variable.name)
    parents = {path.rpartition("/")[0] for path in members}
    for path, names in members.items():
        parent, _, leaf = path.rpartition("/")
        made = _item(groups.get(parent, root), leaf, path, names)
        groups[path] = made
        ticked = tuple(names) in before if before else path not in parents
        made.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    for variable in variables if len(variables) <= MOST_LEAVES else ():
        parent, _, leaf = variable.name.removesuffix(":0").rpartition("/")
        made = _item(groups.get(parent, root), leaf, variable.name, [variable.name])
        ticked = (variable.name,) in before if before else not parent
        made.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


def _item(parent: QTreeWidgetItem, leaf: str, path: str, names: list[str]) -> QTreeWidgetItem:
    made = QTreeWidgetItem(parent, [leaf])
    made.setData(0, Qt.ItemDataRole.UserRole, (path, names))
    made.setToolTip(0, path)
    return made


def _items(root: QTreeWidgetItem) -> Iterator[QTreeWidgetItem]:
    pending = _children(root)
    while pending:
        item = pending.pop()
        yield item
        pending += _children(item)


def _children(item: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    """From the last to the first, as they are taken from the end."""
    found = [item.child(at) for at in range(item.childCount() - 1, -1, -1)]
    return [each for each in found if each is not None]
