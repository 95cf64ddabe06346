"""The errors a user may meet: each says what happened, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

COPY_FILE = "Copy the file again from where it was saved."
COPY_CHECKPOINT = "Copy the checkpoint again from where it was saved."
COPY_SAVED_MODEL = "Copy the SavedModel again from where it was saved."
"""The remedy for what was damaged, or cut short, on the way."""


class CkptviewerError(Exception):
    """Root of all errors that this package raises on purpose.

    `what` is a full sentence without its full stop, `where` a path, key or offset, `remedy` a full
    sentence that tells the reader what to try. `str()` gives them on one line.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would otherwise be lost on the way between processes.
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[CkptviewerError], what: str, where: str, remedy: str) -> CkptviewerError:
    return kind(what, where=where, remedy=remedy)


class PathNotFoundError(CkptviewerError, FileNotFoundError):
    """Nothing that could be meant by the path exists."""


class NotACheckpointError(CkptviewerError, ValueError):
    """The path exists, but what it holds is not a checkpoint of any known format."""


class DamagedFileError(CkptviewerError, ValueError):
    """The file is of a known format, and its content contradicts that format."""


class TruncatedFileError(DamagedFileError, EOFError):
    """The file ends before the bytes that its own index promises."""


class ChecksumError(DamagedFileError):
    """Bytes were read, and their stored checksum says they are not those that were written."""


class MissingShardError(DamagedFileError, FileNotFoundError):
    """A data file that the index refers to is not there."""


class ChangedFileError(CkptviewerError, OSError):
    """The file was replaced or rewritten since it was opened; what is known of it is stale."""


class UnreadableFileError(CkptviewerError, OSError):
    """The operating system refused to read the file (permission, input/output error)."""

    @classmethod
    def refused(cls, what: str, where: str, error: Exception) -> Self:
        """What is to be raised for a system's `error`; what: could not be done, a clause."""
        reason = getattr(error, "strerror", None) or error
        return cls(f"{what}: {reason}", where=where, remedy="Check its permissions.")


class UnwritableFileError(CkptviewerError, OSError):
    """What was to be written could not be, or does not read back as it should."""


class TargetExistsError(CkptviewerError, FileExistsError):
    """There is something where a file was to be written, and nobody said to replace it."""


class UnknownVariableError(CkptviewerError, KeyError):
    """The checkpoint has no variable of that key."""


class BadRuleError(CkptviewerError, ValueError):
    """A rule that renames variables cannot be understood, or cannot be used."""


class InvalidSettingError(CkptviewerError, ValueError):
    """A setting has a value that it cannot have."""


class NameCollisionError(CkptviewerError, ValueError):
    """Several variables would bear one name."""


class OpaqueVariableError(CkptviewerError, TypeError):
    """The variable's dtype has no values that can be shown (variant, resource)."""


class MissingLibraryError(CkptviewerError, ImportError):
    """The format is recognised, but a library that reads it is not installed."""


class Cancelled(CkptviewerError):
    """The work was cancelled; its partial results are void."""

    def __init__(self, what: str = "cancelled", *, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
