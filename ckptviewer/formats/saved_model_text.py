"""SavedModels written as text (`saved_model.pbtxt`): made small before they are parsed.

Source of the syntax: protobuf's "Text Format Language Specification".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import DamagedFileError

if TYPE_CHECKING:
    from ckptviewer.formats.proto.saved_model_pb2 import SavedModel

_LARGEST_BYTES = 1 << 30
_DEEPEST = 100  # protobuf's own limit for binary messages
# What decides where a block begins and ends. Strings and comments may hold braces of their own.
_TOKEN = re.compile(
    rb"""\#[^\n]*+|"(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+'"""
    rb"""|\b(?:graph_def|stripped_op_list)\s*+:?\s*+[{<]|[{}<>]""",
    re.DOTALL,
)


def looks_like_text(start: bytes) -> bool:
    """Whether a file with this start is a SavedModel written as text."""
    fields = rb"(?:\s|\#[^\n]*\n)*(?:saved_model_schema_version\s*:|meta_graphs\s*:?\s*[{<])"
    return re.match(fields, start) is not None


def parse_text(data: bytes) -> SavedModel:
    """The SavedModel that `data` spells, without its graphs. Raises DamagedFileError."""
    from google.protobuf import text_format

    from ckptviewer.formats.proto.saved_model_pb2 import SavedModel

    if len(data) > _LARGEST_BYTES:
        raise DamagedFileError(f"it has {len(data):,} bytes, which is too much for text")
    try:
        model = SavedModel()
        text_format.Parse(_without_graphs(data).decode(), model, allow_unknown_field=True)
        return model
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"it is no SavedModel in text: {error}"[:300]) from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamagedFileError("it is no SavedModel in text") from error


def _without_graphs(data: bytes) -> bytes:
    """`data` without the blocks that hold graphs, nearly all of it. Raises DamagedFileError."""
    kept: list[bytes] = []
    depth = skipped_from = start = 0
    for token in _TOKEN.finditer(data):
        last = token[0][-1:]
        if token[0][:1] in (b"#", b'"', b"'"):
            continue
        if last in b"{<":
            depth += 1
            if depth > _DEEPEST:
                raise DamagedFileError("its messages are nested too deep")
            if len(token[0]) > 1 and not skipped_from:
                kept.append(data[start : token.start()])
                skipped_from = depth
        else:
            if depth == skipped_from:
                start, skipped_from = token.end(), 0
            depth -= 1
            if depth < 0:
                raise DamagedFileError("it closes a message that it has not opened")
    if depth:
        raise DamagedFileError("it ends within a message")
    kept.append(data[start:])
    return b"".join(kept)
