"""The tab Distribution: what is saved is what is seen, and equals NumPy's."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QFileDialog, QToolButton
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.statistics import statistics_of
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.distribution import DistributionPanel
from tests.analysis.memory_checkpoint import one

VALUES = (np.arange(1000) / 8 - 60).astype(np.float32)  # so that the buckets are exact


@pytest.fixture
def panel(appearance: Appearance, qtbot: QtBot) -> DistributionPanel:
    """The distribution of VALUES, in 16 bins."""
    panel = DistributionPanel(appearance)
    qtbot.addWidget(panel)
    panel.resize(480, 640)
    checkpoint, variable = one(VALUES)
    panel._bins.choose("16")
    panel.show_statistics(variable._replace(name="net/a:0"), statistics_of(checkpoint, variable))
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def save_menu(panel: DistributionPanel) -> list[str]:
    (button,) = [b for b in panel.findChildren(QToolButton) if b.text().startswith("Save as")]
    assert button.accessibleName()
    assert button.toolTip()
    return [action.text().split(",")[0] for action in button.menu().actions()]


def test_csv_has_the_bins(panel: DistributionPanel, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "bins.csv"
    with qtbot.waitSignal(panel.saved) as told:
        panel.save(str(path))
    assert str(path) in told.args[0]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    edges = [float(row["low"]) for row in rows] + [float(rows[-1]["high"])]
    counts = [int(row["count"]) for row in rows]
    assert [float(row["high"]) for row in rows] == edges[1:]
    assert edges[0] <= VALUES.min()
    assert edges[-1] >= VALUES.max()
    assert sum(counts) == VALUES.size
    expected, _ = np.histogram(VALUES, edges)
    off = panel._plot.histogram.resolution if panel._plot and panel._plot.histogram else 0
    near = [np.count_nonzero(np.abs(VALUES - edge) <= off) for edge in edges]
    for number, (count, right) in enumerate(zip(counts, expected, strict=True)):
        assert abs(count - right) <= near[number] + near[number + 1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_png_is_the_plot_at_twice_its_size(
    theme: str, panel: DistributionPanel, appearance: Appearance, tmp_path: Path
) -> None:
    appearance.choose(theme)
    path = tmp_path / "plot.png"
    panel.save(str(path))
    image = QImage(str(path))
    assert panel._plot is not None
    assert image.size() == panel._plot.view.viewport().size() * 2
    assert image.pixelColor(0, 0) == QColor(appearance.theme.base)
    bars = sum(
        image.pixelColor(x, y) == QColor(appearance.theme.bar)
        for x in range(0, image.width(), 8)
        for y in range(0, image.height(), 8)
    )
    assert bars > 0.3 * (image.width() // 8) * (image.height() // 8)


def test_svg_has_the_bars_and_the_name(panel: DistributionPanel, tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    panel.save(str(path))
    root = ElementTree.fromstring(path.read_text())
    texts = ["".join(node.itertext()) for node in root.iter()]
    assert any("net/a:0" in text for text in texts)
    assert any("median" in text for text in texts)  # words stay words
    assert any("elements" in text for text in texts)


@pytest.mark.parametrize("kind", ["PNG", "SVG", "CSV"])
def test_it_asks_where_and_offers_a_name(
    kind: str, panel: DistributionPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind in save_menu(panel)
    offered = []

    def choose(_parent: object, _title: str, name: str, _filter: str) -> tuple[str, str]:
        offered.append(name)
        return str(tmp_path / "chosen"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    panel.ask_where_to_save(kind)
    assert offered == [f"net-a-0.{kind.lower()}"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [
        f"chosen.{kind.lower()}"
    ]


def test_nothing_is_saved_where_nothing_was_chosen(
    panel: DistributionPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    panel.ask_where_to_save("PNG")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_cannot_be_written_is_told(panel: DistributionPanel, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "plot.png"
    panel.save(str(path))
    assert "It was not saved" in panel._note.text().replace("\u200b", "")
    assert panel._note.isVisible()
    assert not path.exists()


def test_saving_replaces_a_file_as_a_whole(panel: DistributionPanel, tmp_path: Path) -> None:
    path = tmp_path / "bins.csv"
    path.write_text("x" * 100_000)
    panel.save(str(path))
    assert path.read_text().startswith("low,high,count\n")
    assert "x" not in path.read_text()


def test_hover_tells_the_bin(panel: DistributionPanel) -> None:
    plot = panel._plot
    assert plot is not None
    assert plot.histogram is not None
    for bin_ in (0, 7, 15):
        middle = plot.histogram.edges[bin_ : bin_ + 2].mean()
        place = plot.view.getPlotItem().getViewBox().mapViewToScene(QPointF(middle, 1))
        plot._show_hover(place)
        assert plot._hover.isVisible()
        assert f"\n{plot.histogram.counts[bin_]} elements" in plot._hover.text()


def test_quantiles_are_marked_where_they_are(panel: DistributionPanel) -> None:
    plot = panel._plot
    assert plot is not None
    lines = {item.label.format: item.value() for item in lines_of(plot)}
    assert sorted(lines) == ["median", "p1", "p99"]
    for name, share in (("p1", 0.01), ("median", 0.5), ("p99", 0.99)):
        assert lines[name] == pytest.approx(np.quantile(VALUES, share), abs=0.5)
    panel._quantiles.setChecked(False)
    assert not lines_of(plot)


def lines_of(plot: object) -> list:
    return [i for i in plot.view.getPlotItem().items if type(i).__name__ == "InfiniteLine"]  # type: ignore[attr-defined]
