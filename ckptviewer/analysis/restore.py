"""Will it restore? What of a checkpoint binds to a model, told from the two files alone.

Neither is run and TensorFlow is not needed: the rules by which it restores are few, and what they
go by is in the files. Where it is not (a checkpoint of objects and a `.keras` file, which has no
objects until it is loaded), names are compared instead, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ckptviewer.analysis.matching import Match, match_variables
from ckptviewer.analysis.restore_head import find_head
from ckptviewer.analysis.restore_names import (
    Pair,
    Paired,
    by_layer_order,
    by_layer_path,
    by_objects,
    by_saver_name,
)
from ckptviewer.analysis.restore_objects import (
    SAVE_COUNTER,
    Walked,
    has_objects,
    path_of,
    read_objects,
    walk_together,
)
from ckptviewer.analysis.restore_report import (
    Bound,
    Fresh,
    Mismatch,
    MismatchKind,
    RestoreReport,
    Rule,
    Target,
    Unused,
)
from ckptviewer.analysis.restore_rules import rules_for
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.renaming import RenameRule
from ckptviewer.checkpoint.text import shape_text
from ckptviewer.checkpoint.variable import Role, Variable

_BUNDLES = frozenset(("tf-bundle", "saved-model"))
_LAYER_PATHS = frozenset(("keras-archive", "keras-weights-h5"))
_CONVERTING = frozenset((Rule.LAYER_PATH, Rule.LAYER_ORDER, Rule.NAME_MAP))
_COUNTER_TARGET = Target(
    key=SAVE_COUNTER,
    name=SAVE_COUNTER,
    dtype="int64",
    shape=(),
    role=Role.COUNTER,
    in_model=False,
)


def simulate_restore(
    checkpoint: Checkpoint, model: Checkpoint, *, rules: Sequence[RenameRule] = ()
) -> RestoreReport:
    """What restoring `checkpoint` into `model` would do; both open, neither changed nor run.

    model: a SavedModel, a Keras file, or another checkpoint that stands for the program that
    wrote it. rules: rename the checkpoint's keys first; then it is restored by a name map.
    Reads the object graphs and no values, but for what `match_variables` peeks at.
    Raises CkptviewerError where a file is damaged so that nothing can be told.
    """
    rule, paired, walked = _pair(checkpoint, model, rules)
    matches = match_variables(checkpoint, model, rules=rules)
    if rule is Rule.NAME_MAP:
        paired = _by_match(checkpoint, model, matches)
    sides = _Sides(checkpoint, model, rule, paired)
    bound, mismatched = sides.fit()
    fresh = sides.fresh(bound, mismatched, matches)
    if walked is not None and walked.counter:
        bound = _with_counter(checkpoint, bound)
    unused = sides.unused(bound, mismatched, matches)
    name_map = {each.target.key: each.key for each in bound if each.target is not _COUNTER_TARGET}
    name_map |= {each.target.key: each.suggestion for each in fresh if each.suggestion}
    report = RestoreReport(
        checkpoint=checkpoint.path,
        model=model.path,
        rule=rule,
        call="",
        certain=rule is not Rule.NAME_MAP,
        bound=tuple(bound),
        fresh=tuple(fresh),
        unused=tuple(unused),
        mismatched=tuple(mismatched),
        raises=paired.raises,
        rename_rules=_renames(name_map, rule, bound, fresh),
        name_map=name_map,
        head=find_head(bound, fresh, mismatched, unused),
    )
    return _worded(report, checkpoint, model, walked)


def _worded(
    report: RestoreReport, checkpoint: Checkpoint, model: Checkpoint, walked: Walked | None
) -> RestoreReport:
    from ckptviewer.analysis.restore_python import fixing_python, partial_python, restoring_call
    from ckptviewer.analysis.restore_words import findings_of, raised_by, statements_of

    report = replace(report, call=restoring_call(report, checkpoint, model, walked))
    report = replace(report, raises=raised_by(report))
    report = replace(report, statements=tuple(statements_of(report, walked)))
    report = replace(
        report,
        fix=fixing_python(report, checkpoint, model),
        partial=partial_python(report, checkpoint, model),
    )
    return replace(report, findings=tuple(findings_of(report, walked)))


def _pair(
    checkpoint: Checkpoint, model: Checkpoint, rules: Sequence[RenameRule]
) -> tuple[Rule, Paired, Walked | None]:
    """By which rule the library restores this pair, and what that brings together."""
    if rules:
        return Rule.NAME_MAP, Paired(), None
    ours, theirs = checkpoint.format_name, model.format_name
    if ours in _BUNDLES | {"tf-v1"} and theirs in _BUNDLES | {"tf-v1"}:
        if has_objects(checkpoint) and has_objects(model):
            walked = walk_together(checkpoint, model, read_objects(checkpoint), read_objects(model))
            return Rule.EDGES, by_objects(walked.pairs), walked
        return Rule.SAVER_NAME, by_saver_name(checkpoint, model), None
    if ours in _LAYER_PATHS and theirs in _LAYER_PATHS:
        return Rule.LAYER_PATH, by_layer_path(checkpoint, model), None
    if ours == "keras-h5":
        from ckptviewer.formats.keras_topology import layer_order

        have, want = layer_order(checkpoint), layer_order(model)
        if have is not None and want is not None:
            return Rule.LAYER_ORDER, by_layer_order(have, want), None
    return Rule.NAME_MAP, Paired(), None


def _by_match(checkpoint: Checkpoint, model: Checkpoint, matches: Iterable[Match]) -> Paired:
    paired = Paired()
    for match in matches:
        if match.key_a is None or match.key_b is None:
            continue
        for key in (match.key_b, *match.aliases_b):
            paired.pairs.append(Pair(match.key_a, key, match.why, match.confidence))
    _pair_reshaped(checkpoint, model, paired)
    return paired


def _pair_reshaped(checkpoint: Checkpoint, model: Checkpoint, paired: Paired) -> None:
    """Add those of one layer and one name that are not alike: they belong together, and misfit."""
    ours = _by_last_names(checkpoint, {pair.key for pair in paired.pairs})
    theirs = _by_last_names(model, {pair.model_key for pair in paired.pairs})
    for name, key in theirs.items():
        if key and ours.get(name):
            paired.pairs.append(Pair(ours[name], key, "the layer's and the weight's name", 0.5))


def _by_last_names(checkpoint: Checkpoint, without: set[str]) -> dict[str, str]:
    """Keys of the model's variables by layer and name of the weight; "" where several have one."""
    found: dict[str, str] = {}
    for variable in checkpoint.variables:
        name = "/".join(variable.name.removesuffix(":0").split("/")[-2:])
        if target_of(variable).in_model and "/" in name and variable.key not in without:
            found[name] = "" if name in found else variable.key
    return found


def _with_counter(checkpoint: Checkpoint, bound: list[Bound]) -> list[Bound]:
    """`restore` makes a counter of its own and restores it, whether the model has one or not."""
    keys = {each.key for each in bound}
    for variable in checkpoint.variables:
        if path_of(variable.key) == SAVE_COUNTER and variable.key not in keys:
            why = "the counter that restore() makes itself"
            counter = Bound(key=variable.key, target=_COUNTER_TARGET, rule=Rule.EDGES, why=why)
            return [*bound, counter]
    return bound


def target_of(variable: Variable) -> Target:
    """A variable of the model as the report has it."""
    return Target(
        key=variable.key,
        name=variable.name,
        dtype=variable.dtype,
        shape=variable.shape,
        role=variable.role,
        in_model=variable.in_model and variable.slot_of is None,
    )


class _Sides:
    """The two sides, and what a rule brought together, while they are sorted."""

    def __init__(
        self, checkpoint: Checkpoint, model: Checkpoint, rule: Rule, paired: Paired
    ) -> None:
        self._checkpoint, self._model = checkpoint, model
        self._rule, self._paired = rule, paired

    def fit(self) -> tuple[list[Bound], list[Mismatch]]:
        """Those that belong together, by whether they fit."""
        bound: list[Bound] = []
        mismatched: list[Mismatch] = []
        ours, theirs = self._checkpoint.by_key, self._model.by_key
        for pair in self._paired.pairs:
            source, variable = ours.get(pair.key), theirs.get(pair.model_key)
            if source is None or variable is None or variable.role is Role.METADATA:
                continue
            if variable.dtype == "string" and variable.role is Role.OTHER:
                continue  # what Python objects keep in a checkpoint is no value of a variable
            found = self._fit_one(pair, source, target_of(variable))
            if isinstance(found, Bound):
                bound.append(found)
            else:
                mismatched.append(found)
        return bound, mismatched

    def _fit_one(self, pair: Pair, source: Variable, target: Target) -> Bound | Mismatch:
        kind: MismatchKind | None = None
        reason = ""
        if source.shape != target.shape:
            kind = MismatchKind.SHAPE
            reason = (
                f"shape {shape_text(source.shape)} in the checkpoint, "
                f"{shape_text(target.shape)} in the model"
            )
        elif source.dtype != target.dtype and self._rule not in _CONVERTING:
            kind = MismatchKind.DTYPE
            reason = f"{source.dtype} in the checkpoint, {target.dtype} in the model"
        if kind is None:
            return Bound(
                key=pair.key,
                target=target,
                rule=self._rule,
                why=pair.why,
                confidence=pair.confidence,
                converted=source.dtype != target.dtype,
            )
        return Mismatch(
            key=pair.key,
            target=target,
            rule=self._rule,
            kind=kind,
            reason=reason,
            shape=source.shape,
            dtype=source.dtype,
        )

    def fresh(
        self, bound: list[Bound], mismatched: list[Mismatch], matches: Iterable[Match]
    ) -> list[Fresh]:
        """Those of the model that get nothing, with what is likely theirs."""
        done = {each.target.key for each in bound} | {each.target.key for each in mismatched}
        taken = {each.key for each in bound} | {each.key for each in mismatched}
        likely: dict[str, Match] = {
            match.key_b: match
            for match in matches
            if match.key_b is not None and match.key_a is not None and match.key_a not in taken
        }
        found = []
        for variable in self._model.variables:
            if variable.key in done or variable.role is Role.METADATA:
                continue
            match = likely.get(variable.key)
            if match is not None and not self._same_shape(match, variable):
                match = None
            why = self._paired.refused.get(variable.key) or _why_fresh(self._rule)
            found.append(
                Fresh(
                    target=target_of(variable),
                    why=why,
                    suggestion=(match.key_a or "") if match else "",
                    suggestion_why=match.why if match else "",
                )
            )
        return found

    def _same_shape(self, match: Match, variable: Variable) -> bool:
        return self._checkpoint[match.key_a or ""].shape == variable.shape

    def unused(
        self, bound: list[Bound], mismatched: list[Mismatch], matches: Iterable[Match]
    ) -> list[Unused]:
        """Those of the checkpoint that go nowhere."""
        used = {each.key for each in bound} | {each.key for each in mismatched}
        if self._rule is Rule.NAME_MAP:
            used.update(
                alias for match in matches if match.key_a in used for alias in match.aliases_a
            )
        return [
            Unused(
                key=variable.key,
                name=variable.name,
                shape=variable.shape,
                role=variable.role,
                stored_bytes=variable.stored_bytes,
            )
            for variable in self._checkpoint.variables
            if variable.key not in used and variable.role is not Role.METADATA
        ]


def _why_fresh(rule: Rule) -> str:
    return {
        Rule.EDGES: "no edges of these names lead to a value in the checkpoint",
        Rule.SAVER_NAME: "the checkpoint has no value of this name",
        Rule.LAYER_PATH: "the checkpoint has no value at this path",
        Rule.LAYER_ORDER: "the order of layers gives it no value",
        Rule.NAME_MAP: "nothing in the checkpoint looks like its value",
    }[rule]


def _renames(
    name_map: Mapping[str, str], rule: Rule, bound: list[Bound], fresh: list[Fresh]
) -> tuple[RenameRule, ...]:
    """Rules for what would bind under another name; none where all binds as it is called."""
    if rule is Rule.NAME_MAP:
        differing = {key: target for target, key in name_map.items() if key != target}
        if len(set(differing)) < len(differing):
            return ()
        same = [key for target, key in name_map.items() if key == target]
        rules = rules_for(differing, same)
        # A rule for each variable says no more than the map itself.
        return rules if len(rules) <= max(1, len(differing) // 2) else ()
    wanted = {each.suggestion: each.target.key for each in fresh if each.suggestion}
    return rules_for(wanted, [each.key for each in bound])


def restore_of_nothing(path: str) -> str:
    """What happens to the usual `restore(latest_checkpoint(PATH))` where PATH names no directory.

    Empty where `latest_checkpoint` would find something.
    """
    import os

    from ckptviewer.formats.checkpoint_state import STATE_FILE_NAME

    if os.path.isfile(os.path.join(path, STATE_FILE_NAME)):
        return ""
    what = "a prefix" if not os.path.isdir(path) else "a directory without a `checkpoint` file"
    return (
        f"{path} is {what}: tf.train.latest_checkpoint({path!r}) is None, and restore(None) "
        "raises nothing and restores nothing. Give restore() the prefix itself."
    )


def can_be_model(checkpoint: Checkpoint) -> bool:
    """Whether the file is of a whole model, and not of values alone."""
    if checkpoint.format_name in ("saved-model", "keras-archive"):
        return True
    return checkpoint.format_name == "keras-h5" and checkpoint.facts.get("Kind") == "whole model"


__all__ = [
    "RestoreReport",
    "can_be_model",
    "restore_of_nothing",
    "simulate_restore",
    "target_of",
]
