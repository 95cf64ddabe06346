"""A line or more of text that comes, changes and goes."""

from __future__ import annotations

from ckptviewer.ui.panels.widgets import WrappedLabel


class Note(WrappedLabel):
    """Wrapped text, muted or an error; hidden while there is nothing to say.

    It is copied without the mark of an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said = ""
        self.setObjectName("muted")
        self.hide()

    def to_copy(self) -> str:
        return self.said

    @property
    def is_error(self) -> bool:
        """Whether it says what is wrong."""
        return bool(self.said) and self.objectName() == "error"

    def say(self, text: str, *, error: bool = False) -> None:
        """Show another text; without one it goes."""
        self.said = text
        self.setText(f"\u2715 {text}" if error and text else text)
        self.setAccessibleName(text)
        name = "error" if error else "muted"
        if self.objectName() != name:
            self.setObjectName(name)
            self.style().unpolish(self)
            self.style().polish(self)
        self.setVisible(bool(text))
