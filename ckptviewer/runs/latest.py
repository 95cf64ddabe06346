"""What `tf.train.latest_checkpoint` returns for a path, and why: the same rules, without it.

Source of the rules: tensorflow/python/checkpoint/checkpoint_management.py (get_checkpoint_state,
latest_checkpoint) and the matching of file names in tsl/platform/file_system.cc, which takes `*`,
`?`, `[` and a backslash in a path for a pattern.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable
from ckptviewer.formats.checkpoint_state import (
    LARGEST_BYTES,
    STATE_FILE_NAME,
    CheckpointState,
    locate_latest,
    parse_checkpoint_state,
)

_AS_TENSORFLOW_WRITES = re.compile(
    rb'model_checkpoint_path: "[^"\\\n]+"\n'
    rb'(?:all_model_checkpoint_paths: "[^"\\\n]*"\n)*'
    rb"(?:all_model_checkpoint_timestamps: \d+(?:\.\d+)?\n)*"
    rb"(?:last_preserved_timestamp: \d+(?:\.\d+)?\n)?"
)
_PATTERN_CHARACTERS = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """What TensorFlow takes for the latest.

    path: what `latest_checkpoint` returns, to the letter; None as there.
    reason: one sentence.
    state: what the file `checkpoint` says; None where there is none or it cannot be read at all.
    located: where the checkpoint lies that it names, stale paths mended; None where it is gone.
    stale: whether its recorded path leads elsewhere, or nowhere.
    """

    path: str | None
    reason: str
    state: CheckpointState | None = None
    located: Path | None = None
    stale: bool = False


def latest_checkpoint(asked: str) -> Latest:
    """What `tf.train.latest_checkpoint(asked)` returns, and why. Raises nothing."""
    file = os.path.join(asked, STATE_FILE_NAME)
    if not os.path.exists(file):
        return Latest(path=None, reason=_why_no_state(asked))
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        what = error.strerror or str(error)
        return Latest(path=None, reason=f"The file `checkpoint` cannot be read: {what}.")
    try:
        state = parse_checkpoint_state(data, file)
    except CkptviewerError as error:
        reason = f"The file `checkpoint` is damaged: {error.what}."
        return Latest(path=None, reason=f"{reason} TensorFlow passes over it.")
    located, stale = locate_latest(state, Path(asked))
    known = Latest(path=None, reason="", state=state, located=located, stale=stale)
    refusal = _refusal(data)
    if refusal:
        return replace(known, reason=refusal)
    recorded = state.model_checkpoint_path
    literal = os.path.join(asked, recorded)
    if _matches_files(literal + ".index") or _matches_files(literal):
        reason = "The file `checkpoint` names it by model_checkpoint_path."
        if stale:
            reason = (
                f"The file `checkpoint` names {printable(recorded)}, which lies elsewhere: "
                "TensorFlow goes there, not to the checkpoint of that name here."
            )
        return replace(known, path=literal, reason=reason)
    return replace(known, reason=_why_unmatched(recorded, literal, located))


def _why_no_state(asked: str) -> str:
    if os.path.isdir(asked):
        beside = _without_state(asked)
        return f"There is no file `checkpoint` in the directory{beside}."
    directory = os.path.dirname(asked) or os.curdir
    remedy = f"`latest_checkpoint` takes the directory, {printable(directory)}"
    if os.path.exists(f"{asked}.index"):
        return f"{printable(asked)} is the prefix of a checkpoint; {remedy}."
    if os.path.exists(asked):
        return f"{printable(asked)} is a file; {remedy}."
    if os.path.isdir(directory):
        return f"There is no directory {printable(asked)}; a prefix will not do: {remedy}."
    return f"There is no directory {printable(asked)}."


def _without_state(directory: str) -> str:
    """What a directory has instead of a state file: a clause with what comes before it."""
    try:
        names = os.listdir(directory)
    except OSError:
        return ""
    if any(name in names for name in ("saved_model.pb", "saved_model.pbtxt")):
        return ": it is a SavedModel, which keeps none"
    keras = [name for name in names if name.endswith((".keras", ".h5", ".hdf5"))]
    if any(name.endswith(".index") for name in names):
        return (
            ", as Keras' ModelCheckpoint and checkpoints that were copied one by one come without"
        )
    if keras:
        kinds = "only Keras' files" if all(k.endswith(".keras") for k in keras) else "Keras' files"
        return f": it has {kinds}, which TensorFlow's search does not know"
    return ""


def _refusal(data: bytes) -> str:
    """Why TensorFlow does not take this state although it can be read; empty where it does."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "The file `checkpoint` is not UTF-8: TensorFlow raises UnicodeDecodeError."
    if not _AS_TENSORFLOW_WRITES.fullmatch(data):
        state, wrong = _as_protobuf(text)
        if wrong:
            return f"TensorFlow cannot parse the file `checkpoint` ({printable(wrong)})."
        if not state:
            return "The file `checkpoint` names no latest: TensorFlow raises ValueError."
    return ""


def _as_protobuf(text: str) -> tuple[str, str]:
    """The latest's path, or what is wrong with it, by protobuf's own parser of text."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    fields = (
        ("model_checkpoint_path", 9, 1),
        ("all_model_checkpoint_paths", 9, 3),
        ("all_model_checkpoint_timestamps", 1, 3),
        ("last_preserved_timestamp", 1, 1),
    )
    file = descriptor_pb2.FileDescriptorProto(
        name="ckptviewer/checkpoint_state.proto", package="ckptviewer", syntax="proto3"
    )
    message = file.message_type.add(name="CheckpointState")
    for number, (name, type_, label) in enumerate(fields, 1):
        message.field.add(name=name, number=number, type=type_, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("ckptviewer.CheckpointState")
    state = message_factory.GetMessageClass(descriptor)()
    try:
        text_format.Merge(text, state)
    except text_format.ParseError as error:
        return "", str(error)
    return str(getattr(state, "model_checkpoint_path", "")), ""


def _why_unmatched(recorded: str, literal: str, located: Path | None) -> str:
    name = printable(recorded)
    if os.path.exists(f"{literal}.index") or os.path.exists(literal):
        return (
            f"The file `checkpoint` names {name}, which is there, but TensorFlow takes the "
            "characters `*?[\\` in its path for a pattern, and it does not match itself."
        )
    if located is not None:
        return (
            f"The file `checkpoint` names {name}, which is not there any more: the directory was "
            "moved or copied. The checkpoint of that name lies beside the file."
        )
    return f"The file `checkpoint` names {name}, and no such checkpoint is there."


def _matches_files(path: str) -> bool:
    """Whether TensorFlow's matching finds a file: literally without special characters."""
    if "\0" in path:
        return False
    if not _PATTERN_CHARACTERS.search(path):
        return os.path.exists(path)
    first = _PATTERN_CHARACTERS.search(path)
    assert first is not None
    fixed = os.path.dirname(path[: first.start()])
    found = [fixed or os.curdir]
    for part in filter(None, path[len(fixed) :].split("/")):
        pattern = _component(part)
        if pattern is None:
            return False
        found = [
            os.path.join(directory, name)
            for directory in found
            for name in _names(directory)
            if pattern.fullmatch(name)
        ]
    return bool(found)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _component(glob: str) -> re.Pattern[str] | None:
    """A part of a path as fnmatch(3) takes it: `*`, `?`, `[a-z]`, `[!a]`, `[^a]`, backslash."""
    parts: list[str] = []
    position = 0
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            if position == len(glob):
                return None
            parts.append(re.escape(glob[position]))
            position += 1
        elif character == "[":
            negated = glob[position : position + 1] in ("!", "^")
            end = glob.find("]", position + negated + 1)
            if end < 0:
                parts.append(r"\[")
                continue
            inside = glob[position + negated : end]
            inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside)
            parts.append(f"[{'^' if negated else ''}{inside}]")
            position = end + 1
        else:
            parts.append(re.escape(character))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return None
