"""Writing `.npz` archives as `numpy.savez` does, without pickles and in bounded memory.

Sources of the format: numpy/lib/_npyio_impl.py (`_savez`) and numpy/lib/format.py. Dtypes that
NumPy knows are stored as NumPy stores them; strings as its fixed-width bytes ("S7").

A dtype that NumPy has no name for (bfloat16, the float8s, int4, quantised types) is stored as a
record of one field that bears the dtype's name: `[('bfloat16', '|V2')]`. `numpy.load` opens that
without ml_dtypes and without pickles, `array.view(ml_dtypes.bfloat16)` gives the numbers, and our
reader knows the dtype again. (NumPy itself stores such arrays as nameless `|V2`.)
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import UnwritableFileError
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.npy_header import LARGEST_HEADER_BYTES, field_of
from ckptviewer.formats.tensor_bytes import dense_bytes, files_there, refuse_shards, strings_of
from ckptviewer.storage.atomic import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_NAME_BYTES = 0xFFFF - len(".npy")
_LARGEST_RANK = 64  # NPY_MAXDIMS; 32 before NumPy 2
_FREE_PADDING_BYTES = 64 << 20
_LARGEST_GROWTH = 4
_PIECE_BYTES = 4 << 20


def why_unwritable(key: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Why an `.npz` archive cannot hold such a variable, one clause; empty where it can."""
    if not key or "\0" in key:
        return "its key is empty or has a zero byte, and names in zip archives may not"
    try:
        if len(key.encode()) > _LARGEST_NAME_BYTES:
            return "its key is longer than names in zip archives may be"
    except UnicodeEncodeError:
        return "its key is no Unicode text, and names in zip archives are"
    if kind_of(dtype) is Kind.OPAQUE:
        return f"NumPy has nothing to hold dtype {dtype}"
    if len(shape) > _LARGEST_RANK:
        return f"it has {len(shape)} axes, and NumPy takes {_LARGEST_RANK}"
    return ""


def write_npz(
    path: str,
    tensors: Iterable[Tensor],
    *,
    shard_bytes: int | None = None,
    taken: Collection[str] = (),
    compressed: bool = False,
) -> list[str]:
    """Write an archive that must not exist; returns its path, flushed.

    compressed: deflate the arrays, as `numpy.savez_compressed` does.

    Raises UnwritableFileError (strings that end with a zero byte, which NumPy would cut off, and
    `shard_bytes` too: it is one file), what reading the content raises, DamagedFileError where the
    content is not what shape and dtype need, ValueError for what `why_unwritable` tells and
    repeated keys.
    """
    refuse_shards(shard_bytes, path)
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    keys: set[str] = set()
    with NewFile(path) as file:
        with zipfile.ZipFile(_Output(file), "w", method, allowZip64=True) as archive:
            for tensor in tensors:
                reason = why_unwritable(tensor.key, tensor.dtype, tensor.shape)
                if reason or tensor.key in keys:
                    raise ValueError(f"{tensor.key}: {reason or 'the key is repeated'}")
                keys.add(tensor.key)
                _write_array(archive, tensor, method)
        file.flush()
    return [path]


def _write_array(archive: zipfile.ZipFile, tensor: Tensor, method: int) -> None:
    pieces: Iterator[bytes | memoryview]
    if kind_of(tensor.dtype) is Kind.STRING:
        strings = strings_of(tensor)
        width = _width_of(strings, tensor.key)
        header = _header(f"|S{width}", tensor.shape)
        pieces = _padded(strings, width)
    else:
        header = _header(_descr(tensor.dtype), tensor.shape)
        pieces = dense_bytes(tensor)
    member = zipfile.ZipInfo(tensor.key + ".npy")
    member.compress_type = method
    with archive.open(member, "w", force_zip64=True) as out:
        out.write(header)
        for piece in pieces:
            out.write(piece)


def _descr(dtype: str) -> str | list[tuple[str, str]]:
    """How the header of an array calls a dtype."""
    stored = field_of(dtype)
    if stored:
        return [(dtype, stored)]
    return numpy_dtype(dtype).newbyteorder("<").str


def _header(descr: str | list[tuple[str, str]], shape: tuple[int, ...]) -> bytes:
    from numpy.lib import format as npy

    out = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(out, fields)
    assert len(out.getvalue()) <= LARGEST_HEADER_BYTES  # by the largest rank
    return out.getvalue()


def _width_of(strings: list[bytes], key: str) -> int:
    """Bytes that each of the strings takes. Raises UnwritableFileError."""
    if any(string.endswith(b"\0") for string in strings):
        raise UnwritableFileError(
            "it has a string that ends with a zero byte, which NumPy would cut off",
            where=key,
            remedy="Leave it out, or write a tensor bundle.",
        )
    width = max(map(len, strings), default=0) or 1
    needed = width * len(strings)
    if needed > _FREE_PADDING_BYTES and needed > _LARGEST_GROWTH * sum(map(len, strings)):
        raise UnwritableFileError(
            f"its strings differ so in length that as an array they would take {needed:,} bytes",
            where=key,
            remedy="Leave it out, or write a tensor bundle.",
        )
    return width


def _padded(strings: list[bytes], width: int) -> Iterator[bytes]:
    step = max(1, _PIECE_BYTES // width)
    for start in range(0, len(strings), step):
        yield b"".join(string.ljust(width, b"\0") for string in strings[start : start + step])


class _Output(io.RawIOBase):
    """A new file as `zipfile` writes to it: it comes back to the headers of members."""

    def __init__(self, file: NewFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._file.size)[whence]
        return self._position

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        count = memoryview(data).nbytes
        if self._position == self._file.size:
            self._file.write(data)
        else:
            self._file.write_again(self._position, data)
        self._position += count
        return count


WRITTEN = {
    "title": "NumPy arrays",
    "suffix": ".npz",
    "write": write_npz,
    "why_unwritable": why_unwritable,
    "files_there": files_there,
}
"""How this format is written: the fields of a Writer."""
