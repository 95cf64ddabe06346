"""The operations in a graph that is written as text, told from strings and comments.

Source of the syntax: protobuf's "Text Format Language Specification". A string may be written in
pieces and with escapes, and strings and comments may hold what looks like an operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.storage.byte_source import ByteSource

_WINDOW_BYTES = 4 << 20
_MARGIN = 64  # of what stands between two tokens, the last bytes may be half a name
_BLANK = rb"(?:[\x00-\x20\x7f-\xff]++|\#[^\n]*+)*+"  # Python's parser knows more than spaces
_STRING = rb"""(?:"(?:[^"\\\n]++|\\.)*+(?:"|\\?\Z)|'(?:[^'\\\n]++|\\.)*+(?:'|\\?\Z))"""
_TOKEN = re.compile(
    rb"\#[^\n]*+|" + _STRING + rb"|\bop\b" + _BLANK + rb"(?::" + _BLANK + rb"((?:" + _STRING
    + _BLANK + rb")*+))?",
    re.DOTALL,
)  # fmt: skip
_PIECE = re.compile(_STRING + rb"|\#[^\n]*+", re.DOTALL)


def operations_in_text(source: ByteSource, cancel: CancelToken) -> Iterator[str]:
    """The name of each node's operation, and whatever else is called `op`.

    Raises DamagedFileError where a string or comment is too long to be looked at or an escape is
    none, and what reading raises; Cancelled.
    """
    position = 0
    while position < source.size:
        cancel.raise_if_cancelled()
        data = source.read(position, min(_WINDOW_BYTES, source.size - position))
        is_last = position + len(data) == source.size
        done = 0 if is_last else len(data) - _MARGIN
        for token in _TOKEN.finditer(data):
            if token.end() == len(data) and not is_last:  # there may be more of it
                done = token.start()
                break
            done = max(done, token.end())
            if token[1]:
                yield _spelled(token[1], source.name)
        if is_last:
            return
        if done <= 0:
            raise DamagedFileError(
                f"a text or comment of more than {_WINDOW_BYTES:,} bytes stands at byte "
                f"{position:,}",
                where=source.name,
            )
        position += done


def _spelled(pieces: bytes, where: str) -> str:
    """The string that pieces in quotes make, one after the other."""
    from google.protobuf.text_encoding import CUnescape

    text = b"".join(
        piece[0][1:-1] for piece in _PIECE.finditer(pieces) if not piece[0].startswith(b"#")
    )
    if b"\\" not in text:
        return text.decode("utf-8", "replace")
    try:
        return bytes(CUnescape(text.decode())).decode("utf-8", "replace")
    except (ValueError, TypeError) as error:
        raise DamagedFileError("the name of an operation cannot be read", where=where) from error
