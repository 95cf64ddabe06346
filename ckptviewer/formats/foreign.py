"""Names what is not a checkpoint of ours, so that an error can say what to do with it instead.

Only signatures are looked at, in a few kilobytes from both ends of a file: nothing is unpacked,
decoded or executed.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ckptviewer.checkpoint.errors import (
    DamagedFileError,
    PathNotFoundError,
    UnreadableFileError,
)
from ckptviewer.formats.sstable import MAGIC as TABLE_MAGIC
from ckptviewer.formats.sstable import masked_crc32c, read_varint

_HEAD_BYTES = 8 << 10
_TAIL_BYTES = 64 << 10
_DIRECTORY_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A thing that is recognised and that is not a checkpoint to be shown.

    what: a noun with its article ("a PyTorch checkpoint").
    remedy: what to do with it, a sentence.
    """

    what: str
    remedy: str


_COPY_AGAIN = "Copy or download it again."
_BROKEN_OFF = "Its writing or copying was broken off; copy or download it again."
_MADE_OF = "Open the checkpoint it was made of."
_WEB_PAGE = "The download was probably answered by an error or a log-in page; repeat it."
_XML = "If it was downloaded, it is probably an error message of the server; repeat it."
_UNPACK = "Unpack it, and open the checkpoint that is inside."
_OPEN_CHECKPOINT = "Open the checkpoint it belongs to: its `.index` file, or the directory of it."
_TRUST = "Loading it can run any code, so it is never opened here."
_TORCH = Foreign(
    what="a PyTorch checkpoint",
    remedy="Load it with `torch.load(path, weights_only=True)`, and save its tensors "
    "as safetensors to see them here.",
)

TABLE = Foreign(
    what="a table file of TensorFlow, but not one that holds a checkpoint that can be read",
    remedy=_OPEN_CHECKPOINT,
)

# offset, signature, what it is, what to do
_SIGNATURES = (
    (
        0,
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        "a PyTorch checkpoint of the old kind (a pickle)",
        _TORCH.remedy,
    ),
    (4, b"TFL3", "a TensorFlow Lite model", _MADE_OF),
    (0, b"GGUF", "a GGUF model of llama.cpp", _MADE_OF),
    (0, b"ggml", "a GGML model of llama.cpp", _MADE_OF),
    (0, b"\x93NUMPY", "a NumPy array", "Load it with `numpy.load(path, allow_pickle=False)`."),
    (0, b"\x1f\x8b", "a file compressed with gzip", _UNPACK),
    (0, b"BZh", "a file compressed with bzip2", _UNPACK),
    (0, b"\xfd7zXZ\0", "a file compressed with xz", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a file compressed with zstd", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", ""),
    (0, b"\xff\xd8\xff", "a JPEG image", ""),
    (0, b"GIF8", "a GIF image", ""),
    (8, b"WEBP", "a WebP image", ""),
    (0, b"%PDF-", "a PDF document", ""),
    (0, b"SQLite format 3\0", "an SQLite database", ""),
    (0, b"PAR1", "a Parquet table", ""),
    (0, b"\x7fELF", "a program or library", ""),
    (0, b"MZ", "a Windows program or library", ""),
)

# what the text begins with (small letters), what it is, what to do
_TEXTS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer and not the file itself",
        "Fetch the file with `git lfs pull`.",
    ),
    (b"<!doctype html", "a web page", _WEB_PAGE),
    (b"<html", "a web page", _WEB_PAGE),
    (b"<?xml", "an XML document", _XML),
    (b"<error>", "an XML document", _XML),
    (b"/annex/objects/", "a git-annex pointer", "Fetch the file with `git annex get`."),
    (b"outs:\n- md5:", "a DVC pointer", "Fetch the file with `dvc pull`."),
)

# a name of the zip (pattern), what it is, what to do; the first that matches counts
_ZIPS = (
    (r"(.*/)?constants\.pkl", "a TorchScript model", _TORCH.remedy),
    (r"(.*/)?data\.pkl", _TORCH.what, _TORCH.remedy),
    (r"model\.weights\.h5", "a Keras archive whose weights cannot be read", _COPY_AGAIN),
    (r"(.*/)?saved_model\.pb(txt)?", "a zip archive that holds a SavedModel", _UNPACK),
    (r".*\.index", "a zip archive that holds a checkpoint", _UNPACK),
    (r"\[Content_Types\]\.xml", "an Office document", ""),
    (r"META-INF/.*", "a Java archive", ""),
    (r".*\.npy", "a NumPy archive", "Load it with `numpy.load(path, allow_pickle=False)`."),
    (r".*", "a zip archive", _UNPACK),
)

# a name in the directory (pattern), what it is, what to do; the first that matches counts
_DIRECTORIES = (
    (
        r"_CHECKPOINT_METADATA|_METADATA|manifest\.ocdbt|ocdbt\.process_\d+|_sharding",
        "a checkpoint of Orbax (JAX)",
        "Restore it with Orbax, and save it as a TensorFlow checkpoint or as safetensors.",
    ),
    (r"pytorch_model.*\.bin(\.index\.json)?", "a PyTorch model", _TORCH.remedy),
    (r"__\d+_\d+\.distcp", "a distributed checkpoint of PyTorch", _TORCH.remedy),
    (
        r"coremldata\.bin|Data/com\.apple\.CoreML|model\.mlmodel",
        "a Core ML model",
        _MADE_OF,
    ),
    (
        r"group\d+-shard\d+of\d+(\.bin)?",
        "a TensorFlow.js model",
        "Open the checkpoint or the SavedModel it was made of.",
    ),
    (
        r"saved_model\.pb(txt)?",
        "a SavedModel without values, as its directory `variables` is missing or empty",
        "If the model has variables, copy the directory `variables`, too.",
    ),
    (
        r".*\.data-\d{5,}-of-\d{5,}",
        "a directory of data files whose index is missing",
        "Copy the `.index` files from where the checkpoint was saved: "
        "without them nobody knows which tensors the data files hold.",
    ),
    (
        r"events\.out\.tfevents\..*",
        "a directory of TensorBoard's logs",
        "Open the directory that the checkpoints were saved to.",
    ),
)


def identify(path: Path) -> Foreign | None:
    """What the file or directory `path` is, in case that it is one of those known here.

    Reads at most 8 kB from its beginning and 64 kB from its end. Raises PathNotFoundError,
    UnreadableFileError.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                return identify_directory(
                    [entry.name for entry in islice(entries, _DIRECTORY_ENTRIES)]
                )
        if not stat.S_ISREG(status.st_mode):
            return Foreign(what="a device, a pipe or a socket", remedy="Open a file.")
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, status.st_size - _TAIL_BYTES))
            tail = file.read(_TAIL_BYTES)
    except FileNotFoundError as error:
        raise PathNotFoundError("there is no such file", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError.refused("it cannot be read", str(path), error) from error
    return _identify_bytes(head, tail, os.path.basename(path).lower())


def identify_directory(names: Collection[str]) -> Foreign:
    """What a directory without checkpoints is, by the names of its entries."""
    if not names:
        return Foreign(what="an empty directory", remedy="Open a directory that has checkpoints.")
    for pattern, what, remedy in _DIRECTORIES:
        matches = re.compile(pattern).fullmatch
        if any(matches(name) for name in names):
            return Foreign(what=what, remedy=remedy)
    return Foreign(
        what="a directory without checkpoints", remedy="Open the directory that has them."
    )


def _identify_bytes(head: bytes, tail: bytes, name: str) -> Foreign | None:
    if not head:
        return Foreign(
            what="an empty file",
            remedy=_BROKEN_OFF,
        )
    for offset, signature, what, remedy in _SIGNATURES:
        if head.startswith(signature, offset):
            return Foreign(what=what, remedy=remedy or _OPEN_CHECKPOINT)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(head + tail)
    if tail.endswith(TABLE_MAGIC):
        return TABLE
    if not any(head) and not any(tail):
        return Foreign(
            what="a file of nothing but zeros",
            remedy=_BROKEN_OFF,
        )
    return (
        _hdf5(head)
        or _records(head)
        or _protobuf(head, name)
        or _pickle(head, tail, name)
        or (_text(head))
    )


def _zip(data: bytes) -> Foreign:
    """A zip, by the names in the headers of its entries as far as they lie in `data`."""
    names = []
    for match in re.finditer(rb"PK(?:\x03\x04|\x01\x02)", data):
        local = match.group().endswith(b"\x04")
        length_at = match.start() + (26 if local else 28)
        name_at = match.start() + (30 if local else 46)
        length = int.from_bytes(data[length_at : length_at + 2], "little")
        names.append(data[name_at : name_at + length].decode("utf-8", "replace"))
    for pattern, what, remedy in _ZIPS:
        if any(re.fullmatch(pattern, name) for name in names):
            return Foreign(what=what, remedy=remedy or _OPEN_CHECKPOINT)
    return Foreign(what="a zip archive without entries", remedy=_COPY_AGAIN)


def _hdf5(head: bytes) -> Foreign | None:
    if any(head.startswith(b"\x89HDF\r\n\x1a\n", offset) for offset in (0, 512, 1024, 2048, 4096)):
        return Foreign(
            what="an HDF5 file in which no weights of Keras were found",
            remedy="Any HDF5 viewer shows what else it holds.",
        )
    return None


def _records(head: bytes) -> Foreign | None:
    if len(head) < 12 or masked_crc32c(head[:8]) != int.from_bytes(head[8:12], "little"):
        return None
    if b"brain.Event:" in head[:128]:
        return Foreign(
            what="a TensorBoard event file",
            remedy="Look at it with TensorBoard; for the weights open the checkpoint.",
        )
    return Foreign(what="a TFRecord file, which holds data for training", remedy=_OPEN_CHECKPOINT)


def _protobuf(head: bytes, name: str) -> Foreign | None:
    """Messages have no signature; their first fields tell them apart.

    SavedModel: 08 01 (version), 12 (graph). ONNX: 08 version, 12 producer's name. GraphDef: 0a
    (node) with 0a name, 12 operation. MetaGraphDef: 0a (info), 12 (operations), 0a, 0a name.
    """
    if head.startswith(b"\x08\x01\x12"):
        return Foreign(
            what="the graph of a SavedModel",
            remedy="Its values belong beside it in a directory `variables`; copy that, too.",
        )
    if head.startswith(b"\x08") and name.endswith(".mlmodel"):
        return Foreign(what="a Core ML model", remedy=_MADE_OF)
    if head.startswith(b"\x08") and (
        name.endswith(".onnx") or (head[1:2] < b"@" and _printable(_inside(head, 2, 0x12)[0]))
    ):
        return Foreign(what="an ONNX model", remedy=_MADE_OF)
    node, behind = _inside(head, 0, 0x0A, 0x0A)
    operation, _ = _inside(head, behind, 0x12)
    if _printable(node) and re.fullmatch(rb"[A-Z_]\w*", operation):
        return Foreign(
            what="a TensorFlow graph (GraphDef); if frozen, its weights are constants in it",
            remedy="Open the checkpoint it was frozen from.",
        )
    if _printable(_inside(head, 0, 0x0A, 0x12, 0x0A, 0x0A)[0]):
        return Foreign(
            what="a TensorFlow graph without values (MetaGraphDef)", remedy=_OPEN_CHECKPOINT
        )
    return None


def _inside(data: bytes, position: int, *tags: int) -> tuple[bytes, int]:
    """The content of a field inside fields, each the first in the one around it, and its end.

    Empty where another field stands there.
    """
    length = 0
    try:
        for tag in tags:
            if data[position] != tag:
                return b"", len(data)
            length, position = read_varint(data, position + 1)
    except (IndexError, DamagedFileError):
        return b"", len(data)
    return data[position : position + length], position + length


def _printable(data: bytes) -> bool:
    return bool(data) and all(0x20 <= byte < 0x7F for byte in data)


def _pickle(head: bytes, tail: bytes, name: str) -> Foreign | None:
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        if tail.endswith(b"."):
            what = "a pickle"
            if b"torch" in head:
                what = "a pickle of PyTorch tensors"
            elif b"numpy" in head:
                what = "a pickle of NumPy arrays"
            return Foreign(what=what, remedy=f"{_TRUST} Save its arrays as npz to see them here.")
        return None
    if name.endswith(".msgpack") and (0x80 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return Foreign(
            what="a MessagePack file, as Flax writes it",
            remedy="Restore it with Flax, and save it as safetensors to see it here.",
        )
    return None


def _text(head: bytes) -> Foreign | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, what, remedy in _TEXTS:
        if text[: len(start)].lower() == start:
            return Foreign(what=what, remedy=remedy)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in head:
        return Foreign(what="a text file", remedy=_OPEN_CHECKPOINT)
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut in two
    except UnicodeDecodeError:
        return None
    if text[:1] not in (b"{", b"["):
        return Foreign(what="a text file", remedy=_OPEN_CHECKPOINT)
    if b'"modelTopology"' in text or b'"weightsManifest"' in text:
        what = "the description of a TensorFlow.js model (JSON)"
    elif b'"weight_map"' in text:
        what = "the index of a model in several files (JSON)"
    elif b'"class_name"' in text:
        what = "the architecture of a Keras model (JSON), without its weights"
    else:
        what = "a JSON file"
    return Foreign(what=what, remedy="It holds no weights; open the file that does.")
