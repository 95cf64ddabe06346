"""A run while training goes on: what appeared, vanished and was replaced between two looks.

Nothing here waits or makes threads: whoever watches asks again, about once a second. Files that
are being written are not opened: a checkpoint counts once its files were the same at two looks
that follow each other, or have not been touched for a while, and everything that belongs to it is
there. No handle is kept between two looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ckptviewer.checkpoint.errors import PathNotFoundError
from ckptviewer.runs.entry import CheckpointEntry, FileState, Run
from ckptviewer.runs.latest import latest_checkpoint
from ckptviewer.runs.members import Look, Member, look_at
from ckptviewer.runs.run import Judged, run_of

SETTLED_SECONDS = 3.0
"""What was last written longer ago than this is complete at the first look."""

_MOST_FORGOTTEN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different from the look before.

    run: what is there now; of a checkpoint that is being rewritten, what it was before.
    appeared, replaced: entries as they are now. vanished: as they were.
    unsettled: names of what is being written, and is not, or not anew, in `run` yet.
    any: whether anything of `run` is different, which one is the latest included.
    """

    run: Run
    any: bool
    appeared: tuple[CheckpointEntry, ...] = ()
    vanished: tuple[CheckpointEntry, ...] = ()
    replaced: tuple[CheckpointEntry, ...] = ()
    unsettled: tuple[str, ...] = ()


@dataclass(slots=True)
class Watch:
    """Looks at a run's directory again and again.

    directory: the run's. clock: seconds since 1970, as the files' times are.
    settled_seconds: see SETTLED_SECONDS.
    """

    directory: str
    clock: Callable[[], float] = time.time
    settled_seconds: float = SETTLED_SECONDS
    _seen: dict[str, tuple[FileState, ...]] = field(default_factory=dict)
    _taken: dict[str, Member] = field(default_factory=dict)
    _judged: Judged = field(default_factory=dict)
    _run: Run | None = None

    def poll(self) -> Changes:
        """Look again. A directory that is gone is an empty run. Raises UnreadableFileError."""
        try:
            look = look_at(self.directory)
        except PathNotFoundError:
            look = Look(self.directory, [])
        members, unsettled = self._settled(look)
        run = run_of(
            self.directory, members, latest_checkpoint(self.directory), judged=self._judged
        )
        return self._compared(run, unsettled)

    def _settled(self, look: Look) -> tuple[list[Member], list[str]]:
        """The members that may be looked into, and the names of those that are being written."""
        now = self.clock()
        members: list[Member] = []
        unsettled: list[str] = []
        seen: dict[str, tuple[FileState, ...]] = {}
        for member in look.members:
            files = seen[member.name] = tuple(member.files)
            newest = max((state.modified_ns for state in files), default=0) / 1e9
            before = self._taken.get(member.name)
            if (
                self._seen.get(member.name) == files
                or (before is None and now - newest > self.settled_seconds)
                or (before is not None and tuple(before.files) == files)
            ):
                self._taken[member.name] = member
                members.append(member)
                continue
            unsettled.append(member.name)
            if before is not None and _is_there(before, files):
                members.append(before)  # what it was: it was judged then, and is not opened now
        self._seen = seen
        names = {member.name for member in members}
        self._taken = {name: each for name, each in self._taken.items() if name in names}
        return members, unsettled

    def _compared(self, run: Run, unsettled: list[str]) -> Changes:
        now = {entry.name: entry for entry in run.checkpoints}
        before = {entry.name: entry for entry in self._run.checkpoints} if self._run else {}
        is_other = run != self._run
        self._run = run
        if len(self._judged) > 2 * len(self._taken) + _MOST_FORGOTTEN:
            self._judged.clear()  # what is not there any more; the rest is looked at once more
        return Changes(
            run=run,
            any=is_other,
            appeared=tuple(entry for name, entry in now.items() if name not in before),
            vanished=tuple(entry for name, entry in before.items() if name not in now),
            replaced=_replaced(before, now),
            unsettled=tuple(unsettled),
        )


def _is_there(before: Member, files: tuple[FileState, ...]) -> bool:
    """Whether what it is opened by is there still; once that is deleted, it has vanished."""
    paths = {state.path for state in files}
    return before.is_directory or before.opens_by in paths


def _replaced(
    before: Mapping[str, CheckpointEntry], now: Mapping[str, CheckpointEntry]
) -> tuple[CheckpointEntry, ...]:
    return tuple(
        entry for name, entry in now.items() if name in before and before[name].files != entry.files
    )
