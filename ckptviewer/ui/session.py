"""What a window has open: the checkpoint, its tree, and what has been found out about it so far.

No Qt here: opening begins in a thread while Qt is still being loaded.
"""

from __future__ import annotations

import gc
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.selection import filter_rows, haystacks, parse_filter
from ckptviewer.checkpoint.tree import VariableTree, ViewBy
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    from ckptviewer.analysis.dead import Dead
    from ckptviewer.analysis.remembered import Remembered
    from ckptviewer.analysis.sketch import Sketch
    from ckptviewer.analysis.statistics import Statistics

MOST_KEPT_STATISTICS = 100
FROZEN_ABOVE = 5_000


class Session:
    """An open checkpoint, as the window works on it.

    seconds: how long opening took. sketches: by row, as they are measured. remembered: statistics
    from earlier sessions, once somebody has looked for them.
    """

    def __init__(self, asked: str, checkpoint: Checkpoint, view_by: ViewBy) -> None:
        """asked: the path as the user gave it."""
        self.asked = asked
        self.checkpoint = checkpoint
        self.seconds = 0.0
        self.tree = VariableTree(checkpoint.variables, view_by)
        self.total_bytes = sum(variable.stored_bytes for variable in checkpoint.variables)
        self.sketches: dict[int, Sketch] = {}
        self.dead: dict[int, Dead] = {}
        self.remembered: Remembered | None = None
        self._statistics: OrderedDict[str, Statistics] = OrderedDict()

    def close(self) -> None:
        """Give all back."""
        self.checkpoint.close()
        if len(self.checkpoint.variables) > FROZEN_ABOVE:
            gc.unfreeze()

    @cached_property
    def problems(self) -> dict[str, str]:
        """Key of a variable to the code of the first error that is known of it, in words."""
        problems: dict[str, str] = {}
        _note(problems, self.checkpoint.findings)
        return problems

    def note_findings(self, findings: Iterable[Finding]) -> None:
        """Errors that were found since belong to the problems of their variables, too."""
        _note(self.problems, findings)

    @cached_property
    def texts(self) -> list[str]:
        """What the filter's words are looked for in; made on first use, by whoever asks."""
        return haystacks(self.checkpoint.variables)

    @cached_property
    def _slots_of(self) -> dict[str, list[Variable]]:
        slots: dict[str, list[Variable]] = defaultdict(list)
        for variable in self.checkpoint.variables:
            if variable.slot_of is not None:
                slots[variable.slot_of].append(variable)
        return slots

    def slots_of(self, variable: Variable) -> list[Variable]:
        """The slots of a variable, whatever the view."""
        return self._slots_of.get(variable.key, [])

    def rows_matching(self, text: str) -> list[int] | None:
        """The rows that a text of the filter language selects; None where it says nothing."""
        filter_ = parse_filter(text)
        if filter_.is_empty:
            return None
        return filter_rows(filter_, self.checkpoint.variables, self.texts, self.marked_rows())

    def marked_rows(self) -> dict[str, set[int]]:
        """The rows that bear each mark ("damaged", "nan") so far."""
        marked: dict[str, set[int]] = defaultdict(set)
        if self.problems:
            for row, variable in enumerate(self.checkpoint.variables):
                if variable.key in self.problems:
                    marked["damaged"].add(row)
        for row, sketch in list(self.sketches.items()):
            if sketch.mark is not None:
                marked[sketch.mark.code].add(row)
        return marked

    def statistics(self, variable: Variable) -> Statistics | None:
        """The statistics of a variable, if they are known already."""
        known = self._statistics.get(variable.key)
        if known is not None:
            self._statistics.move_to_end(variable.key)
        return known

    def keep_statistics(self, variable: Variable, statistics: Statistics) -> None:
        """Remember the statistics of a variable for this session."""
        self._statistics[variable.key] = statistics
        while len(self._statistics) > MOST_KEPT_STATISTICS:
            self._statistics.popitem(last=False)


def _note(problems: dict[str, str], findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.variable is not None and finding.severity is Severity.ERROR:
            words = finding.code.replace("-", " ").removesuffix(" variable")
            problems.setdefault(finding.variable, words)


def open_session(path: str, view_by: ViewBy = ViewBy.NAME) -> Session:
    """Open whatever `path` names, and make its tree. Raises CkptviewerError."""
    from ckptviewer.formats.resolve import open_checkpoint

    began = time.perf_counter()
    with collection_paused():
        checkpoint = open_checkpoint(path)
        session = Session(path, checkpoint, view_by)
        if len(checkpoint.variables) > FROZEN_ABOVE:
            # They would stall the event loop at each of the collector's full rounds.
            gc.freeze()
    session.seconds = time.perf_counter() - began
    return session
