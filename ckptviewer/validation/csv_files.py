"""CSV files by their header, their first rows and their count of rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TextIO

from ckptviewer.checkpoint.errors import CkptviewerError, UnreadableFileError

_MOST_COLUMNS = 10_000
_MOST_ROWS = 1_000_000
_SEEN_ROWS = 100
_LONGEST_LINE = 16 << 20


class BadDataError(CkptviewerError, ValueError):
    """The data cannot be what was asked for."""


class CsvContent(NamedTuple):
    """What CSV files of one header hold.

    texts: numbers of the columns that are not numeric, as the first rows tell. rows: how many all
    files have; None where there are too many to be counted.
    """

    header: list[str]
    texts: set[int]
    rows: int | None


def read_csv(paths: Sequence[str]) -> CsvContent:
    """What the files hold. Raises BadDataError, UnreadableFileError."""
    header: list[str] = []
    texts: set[int] = set()
    total: int | None = 0
    for path in paths:
        head, seen, count = _read_one(path)
        if header and head != header:
            raise BadDataError("its columns are not those of the first file", where=path)
        header = head
        for row in seen:
            if len(row) != len(header):
                raise BadDataError(
                    f"a row has {len(row)} cells, and the header {len(header)}", where=path
                )
            texts.update(at for at, cell in enumerate(row) if not _is_number(cell))
        whole = count < _SEEN_ROWS + _MOST_ROWS
        total = total + count if total is not None and whole else None
    if len(header) > _MOST_COLUMNS:
        raise BadDataError(f"it has {len(header):,} columns", where=paths[0])
    return CsvContent(header, texts, total)


def _read_one(path: str) -> tuple[list[str], list[list[str]], int]:
    """Header, first rows, and count of rows up to a limit."""
    with _text_of(path) as stream:
        rows = csv.reader(_lines(stream, path))
        try:
            head = next(rows, [])
            seen = list(islice(rows, _SEEN_ROWS))
            return head, seen, len(seen) + sum(1 for _ in islice(rows, _MOST_ROWS))
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadDataError(f"it is no CSV: {error}", where=path) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell
    return True


def _text_of(path: str) -> TextIO:
    try:
        return open(path, newline="", encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"it cannot be read: {error}", where=path) from error


def _lines(stream: TextIO, path: str) -> Iterator[str]:
    """The lines, none of which may fill the memory."""
    while line := stream.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise BadDataError(f"a line has more than {_LONGEST_LINE:,} characters", where=path)
        yield line
