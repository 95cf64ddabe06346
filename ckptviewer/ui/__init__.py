"""Floor 5: the window; every line of PySide6 and pyqtgraph lives here."""
