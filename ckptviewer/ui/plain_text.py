"""Names from files are text, also where Qt would take them for markup."""

from __future__ import annotations

from html import escape

from PySide6.QtGui import Qt


def as_plain(text: str) -> str:
    """`text` such that a tooltip, which guesses, shows it as it is."""
    if not Qt.mightBeRichText(text):
        return text
    return f'<qt><span style="white-space: pre-wrap">{escape(text)}</span></qt>'
