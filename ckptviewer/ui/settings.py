"""Settings: what the window remembers, in a file that a person can read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST_RECENT_FILES = 12


def settings_path() -> Path:
    """Where the settings lie; CKPTVIEWER_SETTINGS names another place."""
    if named := os.environ.get("CKPTVIEWER_SETTINGS"):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("ckptviewer", appauthor=False) / "settings.json"


class Settings:
    """The window's memory. A file that is missing or damaged means the defaults."""

    def __init__(self, path: Path | None = None, *, remembered: bool = True) -> None:
        """remembered: False for the defaults, and nothing is ever written."""
        self._path = path or settings_path()
        self._remembered = remembered
        self._values: dict[str, Any] = _load(self._path) if remembered else {}

    def get(self, name: str, default: Any) -> Any:
        """The value of `name`; the default where it is not set or of another type."""
        value = self._values.get(name, default)
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        """Remember a value (anything that JSON can hold)."""
        self._values[name] = value

    @property
    def path(self) -> str:
        """The file that they are kept in."""
        return str(self._path)

    def reset(self) -> None:
        """Forget everything."""
        self._values.clear()

    @property
    def recent_files(self) -> list[str]:
        """Paths of what was opened, the latest first."""
        return [path for path in self.get("recent_files", []) if isinstance(path, str)]

    def add_recent_file(self, path: str) -> None:
        """Put a path to the front of the recent ones."""
        others = [other for other in self.recent_files if other != path]
        self._values["recent_files"] = [path, *others][:MOST_RECENT_FILES]

    def save(self) -> None:
        """Write the file; a place that cannot be written costs the memory, not the work."""
        if not self._remembered:
            return
        text = json.dumps(self._values, indent=2, ensure_ascii=False) + "\n"
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(text, encoding="utf-8", errors="surrogateescape")
            aside.replace(self._path)
        except (OSError, UnicodeError):
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def _load(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
