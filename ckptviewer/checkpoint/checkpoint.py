"""Checkpoint: an open, read-only handle on one saved state, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

from ckptviewer.checkpoint.errors import UnknownVariableError
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Region = tuple[slice, ...]
"""A box inside a tensor: a slice with step 1 for each axis, leading axes first; missing trailing
axes mean all of them."""

CHUNK_BYTES = 4 << 20
"""Reading in pieces of this size is as fast as memory allows, and keeps memory bounded."""


class Places(NamedTuple):
    """Where the values of variables lie in data files: int64 arrays with a row for each.

    files: by numbers that `lent` takes; -1 for what does not lie in one piece, as the variable says
    and in this machine's byte order. offsets, sizes: in bytes. crcs: the crc32c of these bytes.
    """

    files: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    crcs: NDArray[np.int64]


class Checkpoint(ABC):
    """An open, read-only handle on one saved state.

    What the format knows without reading values is there once it is open: `variables`, `findings`
    and `facts` cost nothing. Values come by `read` and `chunks`; both may be called from several
    threads at once. Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        *,
        path: str,
        format_name: str,
        variables: Sequence[Variable],
        written_by: str | None = None,
        findings: Sequence[Finding] = (),
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """
        path: what was opened, in its canonical form (for a bundle the prefix).
        format_name: one of the format names of the command line ("tf-bundle").
        variables: in natural order of their keys.
        written_by: the library and version that wrote it ("TensorFlow 2.14.0"); None if untold.
        findings: what was noticed on opening.
        facts: things to show in an overview, label to text, in the order to show them.
        """
        self.path = path
        self.format_name = format_name
        self.variables = variables
        self.written_by = written_by
        self.findings = tuple(findings)
        self.facts: dict[str, str] = dict(facts or {})

    @cached_property
    def by_key(self) -> dict[str, Variable]:
        """The variables by their keys."""
        return {variable.key: variable for variable in self.variables}

    def __getitem__(self, key: str) -> Variable:
        """The variable stored under `key`. Raises UnknownVariableError."""
        try:
            return self.by_key[key]
        except KeyError:
            raise UnknownVariableError(
                f"there is no variable {key!r} in it",
                where=self.path,
                remedy="`ckptviewer list` prints the keys that it has.",
            ) from None

    @abstractmethod
    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        """The values of `variable`, or of a box inside it: a new array of its shape and dtype.

        Native byte order; strings come as an object array of bytes. Only the bytes that the region
        needs are read, in steps. A region reaching beyond the shape is clipped, as by NumPy.
        Raises DamagedFileError (missing shard, truncated, checksum where it is checked),
        OpaqueVariableError, ChangedFileError.
        """

    @abstractmethod
    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        """The values in C order as flat arrays of at most about `chunk_bytes` bytes each.

        The arrays may share one buffer: each is valid until the next is asked for. An empty tensor
        gives no chunk. Slices of a partitioned variable come slice by slice, in the order in which
        they are stored: for consumers to whom the order of elements does not matter.
        Raises as `read` does.
        """

    def unverified_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> tuple[Iterator[np.ndarray], Callable[[int], None]] | None:
        """As `chunks`, for who takes the crc32c of all bytes along while they go by.

        The second is called with it in the end, and raises as `read` does where the values are
        damaged. None where the reader verifies by itself, or cannot.
        """
        return None

    def as_stored(self, variables: Sequence[Variable]) -> Sequence[Variable]:
        """The variables in the order in which their values lie in the files, if that is known."""
        return variables

    def places(self, variables: Sequence[Variable]) -> Places | None:
        """Where values lie, for who reads, verifies and measures many by himself.

        None where that cannot be told of any.
        """
        return None

    def lent(self, file: int, end: int) -> AbstractContextManager[int]:
        """The descriptor of a data file, to be read by position alone while this lasts.

        end: how many bytes it must have. Raises as `read` does; on leaving, too: then nothing that
        was read counts.
        """
        raise ValueError("a checkpoint that tells no places has no data files")

    def checksum(self, variable: Variable) -> int | None:
        """A checksum of the stored values that is in the file already; None where there is none.

        Equal checksum, dtype and shape mean equal content, by checksum.
        """
        return None

    def checksums(self, variables: Sequence[Variable]) -> Sequence[int | None]:
        """`checksum` of each."""
        return [self.checksum(variable) for variable in variables]

    def in_order(self, variable: Variable) -> bool:
        """Whether `chunks` gives the elements in C order: not so where they lie in slices."""
        return True

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        """The bytes of `variable` as a little-endian tensor bundle stores them, for copying.

        They have the masked crc32c that `checksum` tells; whether they do is known at the end of
        the iteration, which raises as `read` does. Each piece is valid until the next is asked
        for. None where the variable is not stored so: then its values have to be encoded.
        """
        return None

    def details(self, variable: Variable) -> dict[str, str]:
        """Where and how the variable is stored: label to text, in the order to show them."""
        return {}

    def release(self) -> None:
        """Give the file handles back; the next read opens them again, if the file is unchanged."""

    def close(self) -> None:
        """Release everything; no read is allowed afterwards. Closing twice is harmless."""
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
