"""Whether a model differs from a checkpoint in its head alone: the case of transfer learning."""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.analysis.restore_report import Bound, Fresh, Head, Mismatch, MismatchKind, Unused
from ckptviewer.checkpoint.text import plural, shape_text
from ckptviewer.checkpoint.variable import MODEL_ROLES

_MOST_HEADS = 4
_WORDS = ("head", "classifier", "logit", "predict", "output", "fc", "softmax", "top", "class")


def find_head(
    bound: Sequence[Bound],
    fresh: Sequence[Fresh],
    mismatched: Sequence[Mismatch],
    unused: Sequence[Unused],
) -> Head | None:
    """The head, if it alone keeps the model from being restored; None otherwise.

    A layer in the middle that gives another number of outputs would change what the next one
    takes. So where all else binds, and a layer's weights differ in their last axis alone, that
    layer is an end of the model, whatever it is called. A layer that is missing altogether is
    taken for one where it is the only one, and its name says so, or the one layer that is left
    over in the checkpoint takes the same and gives another number of outputs.
    """
    new = [each for each in fresh if each.target.in_model]
    wrong = [each for each in mismatched if each.target.in_model]
    carried = [each for each in bound if each.target.in_model]
    if not carried or not (new or wrong):
        return None
    if new:
        return _replaced(carried, new, unused) if not wrong else None
    if not all(_differs_in_outputs(each) for each in wrong):
        return None
    layers = _layers([each.target.name for each in wrong])
    body = _layers([each.target.name for each in carried]) - layers
    if not body or len(layers) > _MOST_HEADS:
        return None
    names = ", ".join(sorted(layers))
    kernel = max(wrong, key=lambda each: len(each.shape))
    return Head(
        layers=tuple(sorted(layers)),
        targets=tuple(each.target.key for each in wrong),
        keys=tuple(each.key for each in wrong),
        why=f"Only the head mismatches ({names}): it gives {kernel.target.shape[-1]} outputs in "
        f"the model and {kernel.shape[-1]} in the checkpoint; "
        f"{plural(len(carried), 'variable')} of the model would bind.",
    )


def _differs_in_outputs(each: Mismatch) -> bool:
    ours, theirs = each.shape, each.target.shape
    return (
        each.kind is MismatchKind.SHAPE
        and 0 < len(ours) == len(theirs)
        and ours[:-1] == theirs[:-1]
        and ours[-1] != theirs[-1]
    )


def _replaced(carried: list[Bound], new: list[Fresh], unused: Sequence[Unused]) -> Head | None:
    layers = _layers([each.target.name for each in new])
    left = [each for each in unused if each.role in MODEL_ROLES]
    if any(each.suggestion for each in new):
        return None  # it was renamed
    if len(layers) > 1 or _layers([each.target.name for each in carried]) <= layers:
        return None
    (layer,) = layers
    if not any(len(each.target.shape) >= 2 for each in new):
        return None
    leaf = layer.rpartition("/")[2].lower()
    named = any(word in leaf for word in _WORDS)
    kernel = max((each.target for each in new), key=lambda target: len(target.shape))
    # What was there before it takes the same and gives something else.
    instead = any(
        len(each.shape) == len(kernel.shape)
        and each.shape[:-1] == kernel.shape[:-1]
        and each.shape != kernel.shape
        for each in left
    )
    if not (named or instead) or len(_layers([each.name for each in left])) > 1:
        return None
    return Head(
        layers=(layer,),
        targets=tuple(each.target.key for each in new),
        keys=tuple(each.key for each in left),
        why=f"Only {layer or 'one layer'} of the model ({shape_text(kernel.shape)}) is not in the "
        f"checkpoint, as where a model got another head; {plural(len(carried), 'variable')} of "
        "the model would bind.",
    )


def _layers(names: Sequence[str]) -> set[str]:
    """The layers that variables of these names are in."""
    return {name.removesuffix(":0").rpartition("/" if "/" in name else ".")[0] for name in names}
