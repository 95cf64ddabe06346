"""What the window proposes for an export, and what typed patterns and paths mean; no Qt."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from operator import attrgetter

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import BadRuleError, CkptviewerError, UnwritableFileError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.text import printable
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role
from ckptviewer.export.choices import Choices, Preset
from ckptviewer.export.execute import check_destination, final_path
from ckptviewer.export.writers import FORMATS, Writer, writer_of

_FORMAT_OF = {
    "keras-archive": "keras-weights-h5",
    "keras-h5": "keras-weights-h5",
    "saved-model": "tf-bundle",
    "tf-v1": "tf-bundle",
}
"""As what a checkpoint is written whose own format is not written."""

_ENDINGS = (
    *(".weights.h5", ".weights.json", ".safetensors", ".npz", ".npy", ".keras", ".hdf5"),
    *(".index", ".h5"),
)
_WORD = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """What was typed to narrow a selection; fields as in Choices."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_regex: tuple[str, ...] = ()
    exclude_regex: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset()
    dtypes: frozenset[str] = frozenset()


def parse_patterns(keep_only: str, leave_out: str) -> Patterns:
    """What the two fields mean: globs, /regular expressions/, and role: and dtype: in the first.

    Words are separated by blanks; one with blanks stands in quotes. Raises BadRuleError.
    """
    include, include_regex, roles, dtypes = _words(keep_only)
    exclude, exclude_regex, other_roles, other_dtypes = _words(leave_out)
    if other_roles or other_dtypes:
        raise BadRuleError(
            "role: and dtype: say what is kept",
            where="Leave out",
            remedy="Filter the tree by them, and take the ticks away of what is in sight.",
        )
    return Patterns(
        include=tuple(include),
        exclude=tuple(exclude),
        include_regex=tuple(include_regex),
        exclude_regex=tuple(exclude_regex),
        roles=frozenset(roles),
        dtypes=frozenset(dtypes),
    )


def _words(text: str) -> tuple[list[str], list[str], list[Role], list[str]]:
    globs: list[str] = []
    expressions: list[str] = []
    roles: list[Role] = []
    dtypes: list[str] = []
    for quoted, plain in _WORD.findall(text):
        word = quoted or plain
        name, colon, values = word.partition(":")
        if len(word) > 2 and word.startswith("/") and word.endswith("/"):
            expressions.append(_checked(word[1:-1]))
        elif colon and name == "role":
            roles += [Role(_known(each, list(map(str, Role)), "role")) for each in _listed(values)]
        elif colon and name == "dtype":
            dtypes += [_known(each, list(BY_NAME), "dtype") for each in _listed(values)]
        elif word:
            globs.append(word)
    return globs, expressions, roles, dtypes


def _checked(expression: str) -> str:
    try:
        re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRuleError(
            f"it is no regular expression: {error}",
            where=f"/{printable(expression)}/",
            remedy="Write a literal dot as \\. and a bracket as \\(.",
        ) from None
    return expression


def _listed(values: str) -> list[str]:
    return [each for each in values.split(",") if each]


def _known(name: str, known: list[str], what: str) -> str:
    if name not in known:
        raise BadRuleError(
            f"there is no {what} {printable(name)!r}", remedy=f"Say {', '.join(known[:24])}."
        )
    return name


def proposed_choices(checkpoint: Checkpoint) -> Choices:
    """Where an export begins: for inference, where there is something that it would leave out."""
    roles = roles_in(checkpoint)
    slim = bool(roles & MODEL_ROLES) and bool(roles - MODEL_ROLES - {Role.METADATA, Role.OTHER})
    written = _FORMAT_OF.get(checkpoint.format_name, checkpoint.format_name)
    return Choices(
        preset=Preset.INFERENCE if slim else Preset.ALL,
        format=written if written in FORMATS else "tf-bundle",
    )


def roles_in(checkpoint: Checkpoint) -> set[Role]:
    """The roles that occur; quick for 200,000 variables."""
    return set(map(attrgetter("role"), checkpoint.variables))


def has_object_graph(checkpoint: Checkpoint) -> bool:
    """Whether it knows the objects that were saved; quick for 200,000 variables."""
    return OBJECT_GRAPH_KEY in map(attrgetter("key"), checkpoint.variables)


def proposed_path(checkpoint: Checkpoint, choices: Choices) -> str:
    """A free name beside the source (at home, where that cannot be written) that says what it is.

    Looks at the file system.
    """
    source = os.path.abspath(checkpoint.path.rstrip("/") or "/")
    directory, name = os.path.split(source)
    if name == "saved_model.pb":
        directory, name = os.path.split(directory)
    elif name == "variables" and os.path.isfile(f"{os.path.dirname(directory)}/saved_model.pb"):
        directory, name = os.path.split(os.path.dirname(directory))  # not into a SavedModel
    if not os.access(directory, os.W_OK):
        directory = os.path.expanduser("~")
    ending = next((end for end in _ENDINGS if name.lower().endswith(end)), "")
    name = name[: len(name) - len(ending)] or "model"
    if choices.preset in (Preset.INFERENCE, Preset.TRAINABLE):
        name += f"-{choices.preset}"
    elif choices.preset is Preset.SELECTED:
        name += "-selection"
    if choices.cast is not None:
        name += f"-{choices.cast.dtype}"
    writer = writer_of(choices.format)
    stem = os.path.join(directory, name)
    if choices.preset is Preset.ALL and choices.cast is None and not _is_free(stem, writer, source):
        stem += "-copy"
    for number in range(1, 1000):
        path = (f"{stem}-{number}" if number > 1 else stem) + writer.suffix
        if _is_free(path, writer, source):
            return path
    return stem + writer.suffix


def _is_free(path: str, writer: Writer, source: str) -> bool:
    if not path.endswith(writer.suffix):
        path += writer.suffix
    return path != source and not os.path.isdir(path) and not writer.files_there(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What stands where an export would write.

    path: absolute. problem: why nothing can be written there; None where it can.
    files: of an older checkpoint of that name. free_bytes: of the disk.
    """

    path: str
    problem: CkptviewerError | None = None
    files: tuple[str, ...] = field(default=())
    free_bytes: int = 0


def look_at(checkpoint: Checkpoint, typed: str, format_name: str) -> Target:
    """What is known of a typed path before anything is written there; never raises.

    A path without directory is beside the source.
    """
    if not typed.strip():
        return Target(
            path="", problem=UnwritableFileError("it has no name yet", remedy="Type or choose one.")
        )
    beside = os.path.dirname(os.path.abspath(checkpoint.path.rstrip("/")))
    typed = os.path.join(beside, os.path.expanduser(typed.strip()))
    writer = writer_of(format_name)
    try:
        path = final_path(typed, format_name)
        check_destination(checkpoint, path, overwrite=True, writer=writer)
        return _seen(path, writer)
    except CkptviewerError as error:
        return Target(path=typed, problem=error)
    except (OSError, ValueError) as error:  # such as a name with a null byte
        return Target(path=typed, problem=UnwritableFileError(str(error), where=typed))


def _seen(path: str, writer: Writer) -> Target:
    directory = os.path.dirname(path)
    problem = None
    if not os.access(directory, os.W_OK):
        problem = UnwritableFileError(
            "this directory cannot be written by you",
            where=directory,
            remedy="Choose another one.",
        )
    return Target(
        path=path,
        problem=problem,
        files=tuple(writer.files_there(path)),
        free_bytes=shutil.disk_usage(directory).free,
    )
