"""Writing safetensors files, byte for byte as the reference library does, in bounded memory.

Source of the format: the safetensors project's README and `prepare` in its tensor.rs. Tensors of
wide dtypes come first, those of one dtype by the bytes of their names; so each lies at a multiple
of the width of its elements behind a header that is padded with spaces to a multiple of 8 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import UnwritableFileError
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.safetensors_header import LARGEST_HEADER_BYTES
from ckptviewer.formats.tensor_bytes import byte_count, dense_bytes, files_there, refuse_shards
from ckptviewer.storage.atomic import NewFile

METADATA: Mapping[str, str] = {"format": "tf"}
"""What libraries that load a model of TensorFlow look for; safetensors itself does not."""

_METADATA_KEY = "__metadata__"
# In the order in which the library writes them, which its offsets hang on.
_NAMES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(_NAMES)}


def why_unwritable(key: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Why a safetensors file cannot hold such a variable, one clause; empty where it can."""
    if key == _METADATA_KEY:
        return f"in a safetensors file, {_METADATA_KEY} is the name of something else"
    try:
        key.encode()
    except UnicodeEncodeError:
        return "its key is no Unicode text, and names in safetensors files are"
    if dtype in _NAMES:
        return ""
    if kind_of(dtype) is Kind.STRING:
        return "safetensors files hold no strings"
    return f"safetensors has no dtype {dtype}"


def write_safetensors(
    path: str,
    tensors: Iterable[Tensor],
    *,
    shard_bytes: int | None = None,
    taken: Collection[str] = (),
    metadata: Mapping[str, str] = METADATA,
) -> list[str]:
    """Write a file that must not exist; returns its path, flushed.

    Dtypes and shapes of all tensors are asked for first, then the content of each in the order of
    the file. metadata: texts that stand in the header; none where it is empty.

    Raises UnwritableFileError (`shard_bytes` too: it is one file), what reading the content raises,
    DamagedFileError where the content is not what shape and dtype need, ValueError for what
    `why_unwritable` tells and repeated keys.
    """
    refuse_shards(shard_bytes, path)
    ordered = sorted(tensors, key=lambda tensor: (_RANKS.get(tensor.dtype, 0), tensor.key))
    header = header_of(ordered, metadata, where=path)
    with NewFile(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for tensor in ordered:
            for piece in dense_bytes(tensor):
                file.write(piece)
        file.flush()
    return [path]


def header_of(tensors: Sequence[Tensor], metadata: Mapping[str, str], *, where: str) -> bytes:
    """The header of a file with these tensors one behind the other, padded.

    Raises UnwritableFileError where it is longer than the library reads, and ValueError.
    """
    header: dict[str, object] = {_METADATA_KEY: dict(metadata)} if metadata else {}
    end = 0
    for tensor in tensors:
        reason = why_unwritable(tensor.key, tensor.dtype, tensor.shape)
        if reason or tensor.key in header:
            raise ValueError(f"{tensor.key}: {reason or 'the key is repeated'}")
        start, end = end, end + byte_count(tensor)
        header[tensor.key] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": (start, end),
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER_BYTES:
        raise UnwritableFileError(
            f"its header would have {len(text):,} bytes, and {LARGEST_HEADER_BYTES:,} are the most "
            "that the format allows",
            where=where,
            remedy="Keep fewer variables, or write a tensor bundle.",
        )
    return text


WRITTEN = {
    "title": "safetensors",
    "suffix": ".safetensors",
    "write": write_safetensors,
    "why_unwritable": why_unwritable,
    "files_there": files_there,
}
"""How this format is written: the fields of a Writer."""
