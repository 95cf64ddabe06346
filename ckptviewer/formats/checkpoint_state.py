"""The small text file named `checkpoint` in which TensorFlow notes which checkpoint is the latest.

Source of the format: tensorflow/python/training/checkpoint_state.proto in protobuf's text format,
as tensorflow/python/checkpoint/checkpoint_management.py writes it. It is flat, so that a tokenizer
of a few lines reads it; protobuf's own parser would take longer to import than all of this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from ckptviewer.checkpoint.errors import (
    DamagedFileError,
    PathNotFoundError,
    UnreadableFileError,
)

STATE_FILE_NAME = "checkpoint"
LARGEST_BYTES = 16 << 20

_TOKEN = re.compile(
    rb"""(?P<space>\s+|\#[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    |(?P<number>-?(?:\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d\w*(?:(?<=[eE])[+-]\d+)?|[A-Za-z]+))
    |(?P<mark>[:;,\[\]])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_SIMPLE_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13}
_WRITTEN_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "'": r"\'", "\\": r"\\"}
_V1_SHARDS = re.compile(r"-\?{5}-of-(\d{5,})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointState:
    """What TensorFlow notes of the checkpoints that it keeps.

    model_checkpoint_path: prefix of the latest; relative to the file's directory, or absolute, and
        then often stale; empty where none is named.
    all_model_checkpoint_paths: prefixes of all that are kept, the oldest first.
    all_model_checkpoint_timestamps: when each of them was saved, in seconds since 1970.
    last_preserved_timestamp: when one was last kept for good; None where it is not told.
    """

    model_checkpoint_path: str = ""
    all_model_checkpoint_paths: tuple[str, ...] = ()
    all_model_checkpoint_timestamps: tuple[float, ...] = ()
    last_preserved_timestamp: float | None = None


def read_checkpoint_state(path: Path) -> CheckpointState:
    """The state that the file `path` holds.

    Raises PathNotFoundError, UnreadableFileError, and DamagedFileError with the line at fault.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise PathNotFoundError("there is no such file", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError.refused("it cannot be read", str(path), error) from error
    return parse_checkpoint_state(data, str(path))


def parse_checkpoint_state(data: bytes, where: str = STATE_FILE_NAME) -> CheckpointState:
    """The state that `data` spells; `where` names it in errors. Raises DamagedFileError.

    Fields that are not known are passed over, and of a field given twice the last one counts: a
    file that is good enough to name its checkpoints is read.
    """
    if len(data) > LARGEST_BYTES:
        raise DamagedFileError(
            f"it is larger than {LARGEST_BYTES >> 20} MiB, which no checkpoint state is",
            where=where,
            remedy="Open the checkpoint itself, by its `.index` file.",
        )
    strings: dict[str, list[str]] = {}
    numbers: dict[str, list[float]] = {}
    for field, value in _Parser(data.removeprefix(b"\xef\xbb\xbf"), where).fields():
        if isinstance(value, str):
            strings.setdefault(field, []).append(value)
        else:
            numbers.setdefault(field, []).append(value)
    return CheckpointState(
        model_checkpoint_path=strings.get("model_checkpoint_path", [""])[-1],
        all_model_checkpoint_paths=tuple(strings.get("all_model_checkpoint_paths", ())),
        all_model_checkpoint_timestamps=tuple(numbers.get("all_model_checkpoint_timestamps", ())),
        last_preserved_timestamp=numbers.get("last_preserved_timestamp", [None])[-1],
    )


def looks_like_checkpoint_state(head: bytes) -> bool:
    """Whether a file that begins with `head` may be a state; its name need not be `checkpoint`."""
    return b"model_checkpoint_path" in head[:4096] and b"\0" not in head


def render_checkpoint_state(state: CheckpointState) -> str:
    """The text that TensorFlow would write for `state`, to be stored as UTF-8.

    Bytes of a name that are not UTF-8 become octal escapes, which TensorFlow refuses to read.
    """
    lines = []
    if state.model_checkpoint_path:
        lines.append(f"model_checkpoint_path: {_quoted(state.model_checkpoint_path)}")
    lines += [f"all_model_checkpoint_paths: {_quoted(p)}" for p in state.all_model_checkpoint_paths]
    lines += [
        f"all_model_checkpoint_timestamps: {float(seconds)!r}"
        for seconds in state.all_model_checkpoint_timestamps
    ]
    if state.last_preserved_timestamp is not None:
        lines.append(f"last_preserved_timestamp: {float(state.last_preserved_timestamp)!r}")
    return "".join(line + "\n" for line in lines)


def locate_latest(state: CheckpointState, directory: Path) -> tuple[Path | None, bool]:
    """Where the latest checkpoint of `state` lies, and whether its recorded path is stale.

    `directory` is the one that holds the state file. An absolute path is first looked for by its
    last component in that directory: runs are moved and copied, and of a copy the copy is meant.
    The result is a prefix; of an empty basename ("dir/") it is the path of its `.index` file, as a
    Path cannot end in a separator. None where no such checkpoint is there.
    """
    recorded = state.model_checkpoint_path
    if not recorded or "\0" in recorded:
        return None, False
    literal = os.path.join(directory, recorded)  # an absolute path stays what it is
    base = re.split(r"[\\/]", recorded)[-1]  # it may have been written on another system
    mended = os.path.join(directory, base)
    order = (mended, literal) if os.path.isabs(recorded) else (literal, mended)
    for prefix in order:
        found = _existing(prefix)
        if found:
            return Path(found), prefix != literal and not _same(found, _existing(literal))
    return None, True


def _existing(prefix: str) -> str:
    """The path by which the checkpoint `prefix` is opened; empty where there is none."""
    if os.path.isfile(prefix + ".index"):
        return prefix if os.path.basename(prefix) else prefix + ".index"
    first_shard = _V1_SHARDS.sub(r"-00000-of-\1", prefix)
    return prefix if os.path.isfile(first_shard) else ""


def _same(found: str, other: str) -> bool:
    if not other:
        return False
    return any(
        os.path.exists(found + suffix)
        and os.path.exists(other + suffix)
        and os.path.samefile(found + suffix, other + suffix)
        for suffix in (".index", "")
    )


def _quoted(text: str) -> str:
    parts = []
    for character in text:
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\{code - 0xDC00:03o}")
        elif code < 0x20 or code == 0x7F:
            parts.append(_WRITTEN_ESCAPES.get(character, f"\\{code:03o}"))
        else:
            parts.append(_WRITTEN_ESCAPES.get(character, character))
    return f'"{"".join(parts)}"'


class _Token(NamedTuple):
    kind: str
    text: bytes
    position: int


class _Parser:
    """Reads `name: value` and `name: [value, value]`, separated by nothing, `,` or `;`."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self.tokens = self._tokens()
        self.token = next(self.tokens)

    def fields(self) -> Iterator[tuple[str, str | float]]:
        while self.token.kind != "end":
            if self.token.kind != "name":
                self._fail("a field's name is expected here")
            field = self._next().text.decode("ascii")
            if self.token.text != b":":
                self._fail(f"a colon is expected behind {field}")
            self._next()
            for value in self._values():
                yield field, value
            if self.token.text in (b",", b";"):
                self._next()

    def _values(self) -> Sequence[str | float]:
        if self.token.text != b"[":
            return (self._value(),)
        values: list[str | float] = []
        self._next()
        while self.token.text != b"]":
            values.append(self._value())
            if self.token.text == b",":
                self._next()
            elif self.token.text != b"]":
                self._fail("a list is not closed")
        self._next()
        return values

    def _value(self) -> str | float:
        if self.token.kind == "string":
            return self._string()
        if self.token.kind not in ("number", "name"):
            self._fail("a text or a number is expected here")
        text = self.token.text.decode("ascii", "replace").lower()
        digits = text[:-1] if text.endswith("f") and not text.endswith("inf") else text
        try:
            value = float(digits)
        except ValueError:
            self._fail(f"{text[:40]!r} is not a number")
        self._next()
        return value

    def _string(self) -> str:
        parts = []
        while self.token.kind == "string":
            raw = self.token.text[1:-1]
            parts.append(_ESCAPE.sub(self._unescape, raw) if b"\\" in raw else raw)
            self._next()
        # A file name need not be UTF-8; this is how Python spells such names.
        return b"".join(parts).decode("utf-8", "surrogateescape")

    def _unescape(self, match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, simple = match.groups()
        if simple is not None:
            if simple in _SIMPLE_ESCAPES:
                return bytes([_SIMPLE_ESCAPES[simple]])
            return simple if simple in b"\\'\"?" else match.group()
        code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
        if octal or hexadecimal:
            if code > 0xFF:
                self._fail("an escape in a text stands for no byte")
            return bytes([code])
        try:
            return chr(code).encode()
        except (ValueError, OverflowError):
            self._fail("an escape in a text stands for no character")

    def _next(self) -> _Token:
        token = self.token
        self.token = next(self.tokens)
        return token

    def _tokens(self) -> Iterator[_Token]:
        position = 0
        while position < len(self.data):
            match = _TOKEN.match(self.data, position)
            if match is None:
                self.token = _Token("unknown", b"", position)
                quoted = self.data[position] in b"\"'"
                self._fail("a text is not closed" if quoted else "it is not text of this kind")
            if match.lastgroup != "space":
                yield _Token(str(match.lastgroup), match.group(), position)
            position = match.end()
        while True:
            yield _Token("end", b"", position)

    def _fail(self, what: str) -> NoReturn:
        line = self.data.count(b"\n", 0, self.token.position) + 1
        raise DamagedFileError(
            f"line {line}: {what}",
            where=self.where,
            remedy="Open the checkpoint itself, by its `.index` file.",
        )
