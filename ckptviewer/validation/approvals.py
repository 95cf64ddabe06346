"""Consents to load a model, remembered for its very content and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ckptviewer.checkpoint.errors import UnwritableFileError

_VERSION = 1
_DIGEST_LENGTH = 64


def approvals_path() -> Path:
    """Where consents lie; CKPTVIEWER_APPROVALS names another place."""
    if named := os.environ.get("CKPTVIEWER_APPROVALS"):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("ckptviewer", appauthor=False) / "approvals.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One consent. model: path at that time, for people. when: in UTC, ISO 8601."""

    model: str
    when: str


class Approvals:
    """The consents that were given. A file that is missing or damaged means none."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or approvals_path()

    def is_approved(self, digest: str) -> bool:
        """Whether this content was consented to; an empty digest never is."""
        return bool(digest) and digest in self.entries()

    def remember(self, digest: str, model: str) -> None:
        """Remember a consent. Raises UnwritableFileError, ValueError for what is no digest."""
        if len(digest) != _DIGEST_LENGTH:
            raise ValueError("there is nothing to remember a consent by")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write({**self.entries(), digest: Approval(model=model, when=now)})

    def forget(self, digest: str) -> None:
        """Take a consent back. Raises UnwritableFileError."""
        entries = self.entries()
        if entries.pop(digest, None) is not None:
            self._write(entries)

    def entries(self) -> dict[str, Approval]:
        """All consents, by the digest of what they are for."""
        try:
            plain = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        entries = plain.get("approvals") if isinstance(plain, dict) else None
        if not isinstance(entries, dict) or plain.get("version") != _VERSION:
            return {}
        return {
            digest: Approval(model=str(each.get("model", "")), when=str(each.get("when", "")))
            for digest, each in entries.items()
            if len(digest) == _DIGEST_LENGTH and isinstance(each, dict)
        }

    def _write(self, entries: Mapping[str, Approval]) -> None:
        plain = {
            "version": _VERSION,
            "approvals": {
                digest: {"model": each.model, "when": each.when} for digest, each in entries.items()
            },
        }
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
            aside.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise UnwritableFileError(
                f"the consent cannot be remembered: {error.strerror or error}",
                where=str(self._path),
                remedy="Check the directory's permissions.",
            ) from error
