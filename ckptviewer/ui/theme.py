"""Colours and type, light and dark; hues of meaning are Okabe and Ito's, for all eyes."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from ckptviewer.checkpoint.variable import Role
from ckptviewer.resources import resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one appearance, as "#rrggbb".

    Text on `window`, `base`, `raised` and `selected` has a contrast of at least 4.5 in `text`,
    `muted`, `accent`, `good`, `warning`, `error` and `violet`.
    """

    name: str
    window: str
    base: str
    raised: str
    line: str
    text: str
    muted: str
    selected: str
    hover: str
    track: str
    accent: str
    bar: str
    quiet_bar: str
    side_b: str
    good: str
    warning: str
    error: str
    violet: str


LIGHT = Theme(
    name="light",
    window="#f4f6f8",
    base="#ffffff",
    raised="#f4f6f8",
    line="#dfe3e8",
    text="#1b2330",
    muted="#5d6878",
    selected="#d8e9f7",
    hover="#f0f5fa",
    track="#e6eaef",
    accent="#0067a3",
    bar="#0072b2",
    quiet_bar="#8a95a5",
    side_b="#d55e00",
    good="#00704f",
    warning="#875a00",
    error="#ae4500",
    violet="#9c4a7c",
)

DARK = Theme(
    name="dark",
    window="#20242d",
    base="#1a1d24",
    raised="#262b35",
    line="#363c48",
    text="#e9edf3",
    muted="#a1acbb",
    selected="#24415a",
    hover="#222833",
    track="#323844",
    accent="#63b9ee",
    bar="#56b4e9",
    quiet_bar="#8390a3",
    side_b="#e69f00",
    good="#3cc79b",
    warning="#e9a820",
    error="#ff9152",
    violet="#df93c0",
)

ROLE_COLOURS: dict[Role, str] = {
    Role.WEIGHT: "good",
    Role.BIAS: "good",
    Role.NORMALIZATION: "accent",
    Role.MOVING_STATISTIC: "violet",
    Role.MOVING_AVERAGE: "violet",
    Role.METRIC: "warning",
    Role.COUNTER: "warning",
}
"""Which colour of the theme a role's pill and bar take; others are muted."""


def system_theme() -> Theme:
    """Light or dark, as the system wants it."""
    scheme = QGuiApplication.styleHints().colorScheme()
    return DARK if scheme == Qt.ColorScheme.Dark else LIGHT


def role_colour(theme: Theme, role: Role) -> QColor:
    """The colour of a role."""
    return QColor(getattr(theme, ROLE_COLOURS.get(role, "muted")))


def luminance(colour: QColor) -> float:
    """Relative luminance from 0 to 1, by the Web Content Accessibility Guidelines 2.2."""

    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part) for part in (colour.redF(), colour.greenF(), colour.blueF()))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def blended(colour: QColor, ground: QColor) -> QColor:
    """What a colour that lets its ground through looks like on it."""
    share = colour.alphaF()

    def mixed(top: float, below: float) -> float:
        return top * share + below * (1 - share)

    return QColor.fromRgbF(
        mixed(colour.redF(), ground.redF()),
        mixed(colour.greenF(), ground.greenF()),
        mixed(colour.blueF(), ground.blueF()),
    )


def ink_on(ground: QColor) -> QColor:
    """Black or white, whichever can be read better on a ground: by 4.5 at the least."""
    return QColor("#000000" if luminance(ground) > 0.179 else "#ffffff")


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Dress the whole application."""
    app.setStyle(QStyleFactory.create("Fusion"))
    app.setPalette(_palette(theme))
    app.setStyleSheet(_style_sheet(theme))


def tabular(font: QFont) -> QFont:
    """The font with figures of equal width, where it has them."""
    font = QFont(font)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def fixed_font() -> QFont:
    """The system's font of fixed width, a little smaller to sit well beside text."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPointSizeF(QApplication.font().pointSizeF() * 0.95)
    return font


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in {
        roles.Window: theme.window,
        roles.WindowText: theme.text,
        roles.Base: theme.base,
        roles.AlternateBase: theme.raised,
        roles.Text: theme.text,
        roles.Button: theme.raised,
        roles.ButtonText: theme.text,
        roles.Highlight: theme.selected,
        roles.HighlightedText: theme.text,
        roles.ToolTipBase: theme.raised,
        roles.ToolTipText: theme.text,
        roles.PlaceholderText: theme.muted,
        roles.Link: theme.accent,
        roles.LinkVisited: theme.accent,
        roles.Accent: theme.accent,
        roles.Mid: theme.line,
        roles.Midlight: theme.track,
        roles.Dark: theme.line,
        roles.Light: theme.base,
        roles.Shadow: theme.line,
    }.items():
        palette.setColor(role, QColor(colour))
    for role in (roles.Text, roles.WindowText, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    return palette


def _icon(theme: Theme, name: str) -> str:
    """The path of a small icon in the theme's colours, as style sheets want it."""
    return resource(f"icons/{name}-{theme.name}.svg").as_posix()


def _style_sheet(theme: Theme) -> str:
    return f"""
    QMainWindow, QDialog {{ background: {theme.base}; }}
    #bar, #strip, QStatusBar {{ background: {theme.window}; }}
    #bar {{ border-bottom: 1px solid {theme.line}; }}
    #strip {{ background: {theme.base}; border-bottom: 1px solid {theme.line}; }}
    QStatusBar {{ border-top: 1px solid {theme.line}; color: {theme.muted}; }}
    QStatusBar::item {{ border: none; }}
    #page {{ background: {theme.base}; }}
    #title {{ font-weight: 600; color: {theme.text}; }}
    #muted, #muted:disabled {{ color: {theme.muted}; }}
    #section {{ font-weight: 600; color: {theme.text}; }}
    QToolTip {{ background: {theme.raised}; color: {theme.text}; border: 1px solid {theme.line};
        padding: 4px 6px; }}
    QToolButton, QPushButton {{ background: {theme.base}; color: {theme.text};
        border: 1px solid {theme.line}; border-radius: 6px; padding: 5px 12px; }}
    QToolButton:hover, QPushButton:hover {{ background: {theme.hover};
        border-color: {theme.quiet_bar}; }}
    QToolButton:pressed, QPushButton:pressed {{ background: {theme.selected}; }}
    QToolButton:focus, QPushButton:focus, QComboBox:focus {{ border-color: {theme.accent}; }}
    QToolButton:disabled, QPushButton:disabled, QLineEdit:disabled, QComboBox:disabled,
        QSpinBox:disabled, QDoubleSpinBox:disabled {{ color: {theme.muted};
        background: {theme.raised}; }}
    QFileDialog QToolButton {{ padding: 2px; }}
    QToolButton::menu-indicator, QPushButton::menu-indicator {{ image: none; width: 0; }}
    QToolButton#flat {{ border: 1px solid transparent; background: transparent; padding: 3px 6px; }}
    QToolButton#flat:disabled {{ background: transparent; }}
    QToolButton#flat:hover {{ background: {theme.hover}; }}
    QToolButton#flat:focus {{ border-color: {theme.accent}; }}
    QToolButton#chip {{ border: 1px solid transparent; background: transparent;
        padding: 3px 7px; color: {theme.muted}; }}
    QToolButton#chip:hover {{ background: {theme.hover}; }}
    QToolButton#chip:checked {{ background: {theme.selected}; color: {theme.text};
        border-color: {theme.accent}; }}
    QToolButton#chip:focus {{ border-color: {theme.accent}; }}
    #error {{ color: {theme.error}; }}
    QPlainTextEdit, QListWidget {{ background: {theme.base}; border: 1px solid {theme.line};
        border-radius: 6px; padding: 4px; selection-background-color: {theme.accent};
        selection-color: {theme.base}; }}
    QPlainTextEdit:focus, QListWidget:focus {{ border-color: {theme.accent}; }}
    QListWidget::item {{ padding: 4px 4px; }}
    QListWidget::item:selected {{ background: {theme.selected}; color: {theme.text}; }}
    QPushButton#primary {{ background: {theme.accent}; color: {theme.base};
        border-color: {theme.accent}; font-weight: 600; }}
    QPushButton#primary:disabled {{ background: {theme.track}; color: {theme.muted};
        border-color: {theme.track}; }}
    QLineEdit {{ background: {theme.base}; border: 1px solid {theme.line}; border-radius: 6px;
        padding: 5px 9px; placeholder-text-color: {theme.muted};
        selection-background-color: {theme.accent};
        selection-color: {theme.base}; }}
    QLineEdit:focus {{ border-color: {theme.accent}; }}
    QTableView, QTreeView {{ background: {theme.base}; border: 1px solid transparent;
        outline: none; }}
    QTableView {{ selection-background-color: {theme.selected};
        selection-color: {theme.text}; }}
    QTableView:focus, QTreeView:focus, QScrollArea:focus {{
        border: 1px solid {theme.accent}; }}
    QTreeWidget::item {{ padding: 4px 4px; }}
    #lines {{ background: {theme.base}; border: 1px solid transparent; outline: none; }}
    #lines:focus {{ border-color: {theme.accent}; }}
    #lines::item {{ padding: 3px 4px; }}
    #lines::item:selected {{ background: {theme.selected}; color: {theme.text}; }}
    #commands::item {{ padding: 6px 6px; }}
    QTreeWidget::item:selected {{ background: {theme.selected}; color: {theme.text}; }}
    QHeaderView {{ background: {theme.window}; border: none; }}
    QHeaderView::section {{ background: {theme.window}; color: {theme.muted}; border: none;
        border-bottom: 1px solid {theme.line}; padding: 6px 8px; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {theme.line}; }}
    QTabWidget::tab-bar {{ left: 8px; }}
    QTabBar {{ background: transparent; }}
    QTabBar::tab {{ background: transparent; color: {theme.muted}; padding: 8px 12px;
        border: none; border-bottom: 2px solid transparent; }}
    QTabBar::tab:selected {{ color: {theme.text}; border-bottom-color: {theme.accent}; }}
    QTabBar::tab:hover {{ color: {theme.text}; }}
    QTabBar::tab:selected:focus {{ color: {theme.accent}; background: {theme.hover}; }}
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QTabBar::scroller {{ width: 44px; }}
    QTabBar QToolButton {{ border: none; border-radius: 4px; padding: 0; margin: 4px 1px;
        background: {theme.window}; }}
    QTabBar QToolButton:hover {{ background: {theme.track}; }}
    QTabBar QToolButton::left-arrow {{ image: url({_icon(theme, "chevron-left")});
        width: 6px; height: 10px; }}
    QTabBar QToolButton::right-arrow {{ image: url({_icon(theme, "chevron-right")});
        width: 6px; height: 10px; }}
    QTabBar::close-button {{ image: url({_icon(theme, "close")}); subcontrol-position: right;
        border-radius: 4px; padding: 1px; }}
    QTabBar::close-button:hover {{ background: {theme.track}; }}
    QSplitter::handle {{ background: {theme.line}; }}
    QScrollArea {{ border: 1px solid transparent; background: {theme.base}; }}
    QMenuBar::item:selected {{ background: {theme.selected}; color: {theme.text}; }}
    QMenu {{ background: {theme.base}; border: 1px solid {theme.line}; padding: 4px; }}
    QMenu::item {{ padding: 5px 22px 5px 12px; border-radius: 4px; }}
    QMenu::item:selected {{ background: {theme.selected}; color: {theme.text}; }}
    QMenu::item:disabled {{ color: {theme.muted}; }}
    QMenu::separator {{ height: 1px; background: {theme.line}; margin: 4px 8px; }}
    QSpinBox, QDoubleSpinBox {{ background: {theme.base}; color: {theme.text};
        border: 1px solid {theme.line}; border-radius: 6px; padding: 4px 6px;
        selection-background-color: {theme.accent}; selection-color: {theme.base}; }}
    #number::up-button, #number::down-button {{ width: 0; border: none; }}
    QAbstractSpinBox QLineEdit {{ border: none; padding: 0 4px; background: transparent; }}
    QSpinBox:focus, QDoubleSpinBox:focus {{ border-color: {theme.accent}; }}
    QComboBox {{ background: {theme.base}; border: 1px solid {theme.line}; border-radius: 6px;
        padding: 3px 8px; }}
    QComboBox::drop-down {{ subcontrol-position: right center; border: none; width: 24px; }}
    QComboBox::down-arrow {{ image: url({_icon(theme, "chevron-down")});
        width: 10px; height: 6px; }}
    QProgressBar {{ background: {theme.track}; border: none; border-radius: 3px; max-height: 6px; }}
    QProgressBar::chunk {{ background: {theme.bar}; border-radius: 3px; }}
    #popup {{ background: {theme.base}; border: 1px solid {theme.quiet_bar}; }}
    #card {{ background: {theme.raised}; border: 1px solid {theme.line}; border-radius: 6px; }}
    #code {{ background: {theme.raised}; border: 1px solid {theme.line}; border-radius: 6px;
        padding: 10px; }}
    QScrollBar:vertical {{ background: transparent; width: 11px; margin: 0; }}
    QScrollBar::handle:vertical {{ background: {theme.track}; border-radius: 4px; min-height: 30px;
        margin: 2px; }}
    QScrollBar::handle:vertical:hover {{ background: {theme.quiet_bar}; }}
    QScrollBar:horizontal {{ background: transparent; height: 11px; margin: 0; }}
    QScrollBar::handle:horizontal {{ background: {theme.track}; border-radius: 4px;
        min-width: 30px; margin: 2px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    """
