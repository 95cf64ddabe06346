"""What a plan writes, tensor by tensor: for the writer, and again for the one who verifies it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.casting import CastCheckpoint
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, VALUE_SUFFIX
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.export.plan import ExportPlan, Kept
from ckptviewer.formats.object_slimming import slim_object_graph

if TYPE_CHECKING:
    import numpy as np

SAVE_COUNTER_KEY = "save_counter" + VALUE_SUFFIX
_ADDED_REASON = "added: tf.train.Checkpoint.restore asks for it"


class Part(NamedTuple):
    """One tensor that is written.

    kept: of the plan. variable: as `Content.view` has it, in the dtype that is written.
    made: its value, where it is not read; else None.
    """

    kept: Kept
    variable: Variable
    made: np.ndarray | None = None


class Content:
    """All that a plan writes of `source`.

    view: the source, with what is cast in its new dtype.
    Raises DamagedFileError where an object graph is to be slimmed that is none, and what reading it
    raises.
    """

    def __init__(self, plan: ExportPlan, source: Checkpoint) -> None:
        self.plan = plan
        self.source = source
        dtypes = {each.taken_from or each.key: each.dtype for each in plan.casts}
        self.view = CastCheckpoint(source, dtypes) if dtypes else source
        self._graph = self._slimmed() if plan.slims_graph else plan.object_graph

    @property
    def added(self) -> list[str]:
        """The keys that are written and that the source has not."""
        return [SAVE_COUNTER_KEY] if self.plan.adds_save_counter else []

    def parts(self) -> Iterator[Part]:
        """All tensors, in the order of the plan."""
        import numpy as np

        graph = self._graph
        for kept in self.plan.kept:
            variable = self.view[kept.taken_from or kept.key]
            made = None
            if graph is not None and kept.key == OBJECT_GRAPH_KEY:
                made = np.array([graph], object)
            yield Part(kept, variable, made)
        if self.plan.adds_save_counter:
            counter = Variable(
                key=SAVE_COUNTER_KEY, name=SAVE_COUNTER_KEY, dtype="int64", shape=(), stored_bytes=8
            )
            added = Kept(SAVE_COUNTER_KEY, SAVE_COUNTER_KEY, 8, _ADDED_REASON)
            yield Part(added, counter, np.zeros(1, np.int64))

    def _slimmed(self) -> bytes:
        plan = self.plan
        keys = {each.key: each.key_written for each in plan.kept}
        return slim_object_graph(
            self.source.read(self.source[OBJECT_GRAPH_KEY]).item(),
            keys,
            silent=plan.silent,
            aside=plan.aside,
            save_counter_key=SAVE_COUNTER_KEY if plan.adds_save_counter else None,
        )
