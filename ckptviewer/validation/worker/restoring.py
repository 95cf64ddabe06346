"""Gets a checkpoint into a model: natively where TensorFlow does, by names otherwise.

Nothing is taken on trust: what was bound is told variable by variable, and `reading_back` proves
it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Optional

import numpy as np

from . import naming, overlay, paths
from .digests import digest
from .file_values import FileValues
from .libraries import tensorflow
from .model import Model, Variable, type_text
from .naming import Pair
from .problems import RestoreProblem, first_line

_KERAS_FORMATS = {"keras-archive", "keras-weights-h5", "keras-h5"}
Values = Optional[FileValues]


class Restoration(NamedTuple):
    """report: the protocol's Restored. pairs: what was bound. values: of the file; or None."""

    report: dict[str, Any]
    pairs: list[Pair]
    values: Values


class _Attempt:
    """One way of restoring, and what it came to."""

    def __init__(self, mode: str, how: str) -> None:
        self.mode = mode
        self.how = how
        self.pairs: list[Pair] = []
        self.mismatched: list[dict[str, str]] = []
        self.assertions: list[dict[str, Any]] = []

    def asserted(self, name: str, passed: bool, message: str) -> None:
        """Note what one of TensorFlow's own checks says."""
        self.assertions.append({"name": name, "passed": passed, "message": message})


def restore(model: Model, spec: dict[str, Any], which: str) -> Restoration:
    """Restore the checkpoint of a request. Raises RestoreProblem where nothing can be read."""
    start = time.perf_counter()
    prefix = spec["bundle"] or ("" if spec["format"] in _KERAS_FORMATS else spec["path"])
    values = FileValues(prefix, spec["labels"]) if prefix else None
    attempt = _attempt(model, spec, values)
    seconds = time.perf_counter() - start
    return Restoration(_report(model, values, attempt, which, seconds), attempt.pairs, values)


def _attempt(model: Model, spec: dict[str, Any], values: Values) -> _Attempt:
    if spec["mode"] != "auto":
        return _by_mode(spec["mode"], model, spec, values)
    mode = _natural_mode(model, spec, values)
    attempt = _by_mode(mode, model, spec, values)
    is_bound = bool(attempt.pairs) or (values is None and attempt.assertions[-1]["passed"])
    if mode != "names" and not is_bound and values is not None:
        # TensorFlow has nothing against restoring nothing.
        named = _by_mode("names", model, spec, values)
        named.assertions = attempt.assertions
        if named.pairs:
            named.how = f"{named.how}, for {attempt.how} bound nothing"
            return named
    return attempt


def _natural_mode(model: Model, spec: dict[str, Any], values: Values) -> str:
    if spec["names"]:
        return "names"
    if spec["format"] in _KERAS_FORMATS:
        return "keras-weights" if model.keras is not None else "names"
    native = None if spec["bundle"] else values
    if native is not None and native.graph is not None and model.root is not None:
        return "object-graph"
    if native is not None and getattr(model, "saver", None) is not None:
        return "saver"
    return "names"


def _by_mode(mode: str, model: Model, spec: dict[str, Any], values: Values) -> _Attempt:
    if mode == "keras-weights":
        return _by_keras(model, spec, values)
    if values is None:
        raise RestoreProblem(
            f"TensorFlow does not read the format {spec['format']} by names",
            "Hand the checkpoint over as a bundle.",
        )
    if mode == "object-graph":
        return _by_object_graph(model, spec, values)
    if mode == "saver":
        return _by_saver(model, spec, values)
    return _by_names(model, spec, values)


def _by_object_graph(model: Model, spec: dict[str, Any], values: FileValues) -> _Attempt:
    if values.graph is None or model.root is None:
        why = "which it does not have" if values.graph is None else "for the model is no object"
        raise RestoreProblem(
            f"it cannot be restored by its object graph, {why}", "Restore it by names."
        )
    path, pairs = _laid_over(model, values)
    equals = f"{'.'.join(path)}=" if path else ""
    attempt = _Attempt("object-graph", f"tf.train.Checkpoint({equals}model).read")
    if _is_refused(pairs, values, attempt):
        # TensorFlow would stop at the first that does not fit, with some of the others restored.
        attempt.mode = "names"
        attempt.how = "each variable by its place in the object graph, those that fit"
        _assign(pairs, spec["cast"], values, attempt)
        return attempt
    try:
        status = overlay.checkpoint_for(model.root, path).read(values.prefix)
        status.expect_partial()
    except Exception as error:
        if isinstance(error, (ValueError, tensorflow().errors.InvalidArgumentError)):
            # Something else that hangs on the model does not fit: its optimizer's slots.
            attempt.asserted(
                "restore", False, f"TensorFlow's own restore stops: {first_line(error)}."
            )
            attempt.mode = "names"
            attempt.how = "each variable by its place in the object graph, those that fit"
            _assign(pairs, spec["cast"], values, attempt)
            return attempt
        raise RestoreProblem(
            f"tf.train.Checkpoint.read raised {type(error).__name__}: {first_line(error)}",
            "Check the file with `ckptviewer doctor`, or restore by names.",
        ) from error
    _ask(status, attempt)
    attempt.pairs = pairs
    return attempt


def _laid_over(model: Model, values: FileValues) -> tuple[tuple[str, ...], list[Pair]]:
    """Where in the checkpoint's object graph the model hangs, and what belongs to it by that."""
    by_id = {id(each.trackable): each for each in model.variables}
    shapes = {number: each.shape for number, each in by_id.items()}
    found = overlay.best_overlay(model.root, values, shapes)
    under = f" under {'.'.join(found.path)}" if found.path else ""
    rule = f"its place in the object graph{under}"
    return found.path, [Pair(key, by_id[number], rule) for number, key in found.pairs.items()]


def _followed(model: Model, values: FileValues) -> list[Pair]:
    """What keys that are paths of objects lead to, where the object graph itself is gone."""
    by_id = {id(each.trackable): each for each in model.variables}
    shapes = {number: each.shape for number, each in by_id.items()}
    found = paths.pairs_by_path(model.root, values.keys, shapes)
    if model.keras is not None:
        trainable = [(number, shapes[number]) for number, each in by_id.items() if each.trainable]
        listed = paths.pairs_by_list(values.keys, trainable)
        taken = set(found.values())
        found = {**{n: key for n, key in listed.items() if key not in taken}, **found}
    return [Pair(key, by_id[number], "its key, a path of objects") for number, key in found.items()]


def _is_refused(pairs: list[Pair], values: FileValues, attempt: _Attempt) -> bool:
    wrong = [(pair, reason) for pair in pairs if (reason := _misfit(pair, values, cast=False))]
    if wrong:
        pair, reason = wrong[0]
        attempt.asserted(
            "restore",
            False,
            f"TensorFlow's own restore would stop with an error at {pair.variable.name}: {reason}.",
        )
    return bool(wrong)


def _ask(status: Any, attempt: _Attempt) -> None:
    """TensorFlow's own checks, in words."""
    checks = (
        ("assert_existing_objects_matched", "every variable of the model found its value"),
        ("assert_consumed", "the model and the checkpoint hold exactly the same"),
    )
    for name, meaning in checks:
        try:
            getattr(status, name)()
        except AssertionError as error:
            attempt.asserted(name, False, f"{name} fails: {first_line(error)}.")
        except Exception as error:
            attempt.asserted(name, False, f"{name} raised {type(error).__name__}.")
        else:
            attempt.asserted(name, True, f"{name} passes: {meaning}.")
    if not all(each["passed"] for each in attempt.assertions):
        attempt.asserted(
            "expect_partial",
            True,
            "Without a check, as with expect_partial, TensorFlow restores this and says nothing.",
        )


def _by_keras(model: Model, spec: dict[str, Any], values: Values) -> _Attempt:
    attempt = _Attempt("keras-weights", "model.load_weights")
    if model.keras is None:
        raise RestoreProblem(
            "model.load_weights needs a Keras model, and this is none", "Restore it by names."
        )
    before = [each.get() for each in model.variables]
    try:
        model.keras.load_weights(spec["path"])
    except Exception as error:
        for each, value in zip(model.variables, before):
            each.put(value)
        attempt.asserted("load_weights", False, f"Keras refuses the file: {first_line(error)}.")
        if values is None or spec["mode"] == "keras-weights":
            raise RestoreProblem(
                f"model.load_weights raised {type(error).__name__}: {first_line(error)}",
                "Restore it by names.",
            ) from error
        return attempt
    attempt.asserted("load_weights", True, "Keras took the file.")
    if values is not None:
        attempt.pairs = _by_content(model, values)
    return attempt


def _by_content(model: Model, values: FileValues) -> list[Pair]:
    """Which key each variable has its value from, told by the values that it has now."""
    named = {id(pair.variable): pair.key for pair in naming.pairs_by_name(model.variables, values)}
    shapes = {each.shape for each in model.variables}
    stored: dict[Any, list[str]] = {}
    for key, kept in values.keys.items():
        if kept.shape in shapes:
            content = (kept.dtype, kept.shape, digest(values.get(key))["digest"])
            stored.setdefault(content, []).append(key)
    pairs = []
    for variable in model.variables:
        content = (variable.dtype, variable.shape, digest(variable.get())["digest"])
        keys = stored.get(content, [])
        if not keys:
            continue
        key = named.get(id(variable), "")
        if key not in keys:
            key = keys[0]
        if len(keys) > 1:  # equal content under several keys: each to one variable
            keys.remove(key)
        pairs.append(Pair(key, variable, "model.load_weights; told by its content"))
    return pairs


def _by_saver(model: Model, spec: dict[str, Any], values: FileValues) -> _Attempt:
    attempt = _Attempt("saver", "tf.compat.v1.train.Saver.restore")
    saver: Any = getattr(model, "saver", None)
    session: Any = getattr(model, "session", None)
    if saver is None:
        raise RestoreProblem("the model has no Saver", "Restore it by names.")
    by_parts = {naming.parts_of(key): key for key in values.keys}
    pairs = []
    for variable in model.variables:
        key = by_parts.get(naming.parts_of(variable.stored_name))
        if key is not None:
            pairs.append(Pair(key, variable, "the same name, by the Saver"))
    if not _is_refused(pairs, values, attempt):
        try:
            with session.graph.as_default():
                saver.restore(session, values.prefix)
        except Exception as error:
            attempt.asserted("restore", False, f"Saver.restore fails: {first_line(error)}.")
        else:
            attempt.asserted("restore", True, "The graph's own Saver took the file.")
            attempt.pairs = pairs
            return attempt
    attempt.mode = "names"
    attempt.how = "each variable by its name, those that fit"
    _assign([pair._replace(rule="the same name") for pair in pairs], spec["cast"], values, attempt)
    return attempt


def _by_names(model: Model, spec: dict[str, Any], values: FileValues) -> _Attempt:
    attempt = _Attempt("names", "each variable by its name")
    if spec["names"]:
        pairs, wrong = naming.pairs_asked_for(spec["names"], model.variables, values)
        attempt.mismatched += wrong
        attempt.how = "each variable by the name map"
    else:
        by_place: list[Pair] = []
        if model.root is not None:
            laid = values.graph is not None
            by_place = _laid_over(model, values)[1] if laid else _followed(model, values)
        pairs = naming.pairs_by_name(model.variables, values, by_place)
    _assign(pairs, spec["cast"], values, attempt)
    return attempt


def _assign(pairs: list[Pair], cast: bool, values: FileValues, attempt: _Attempt) -> None:
    for pair in pairs:
        reason = _misfit(pair, values, cast)
        if reason:
            attempt.mismatched.append(
                {"key": pair.key, "name": pair.variable.name, "reason": reason}
            )
            continue
        stored = values.keys[pair.key].dtype
        pair.variable.put(value_for(pair, values))
        if stored != pair.variable.dtype:
            pair = pair._replace(rule=f"{pair.rule}; cast from {stored} to {pair.variable.dtype}")
        attempt.pairs.append(pair)


def _misfit(pair: Pair, values: FileValues, cast: bool) -> str:
    """Why the two do not fit, one clause; empty where they do."""
    stored, variable = values.keys[pair.key], pair.variable
    if stored.shape != variable.stored_shape:
        return (
            f"the shapes differ: the checkpoint has {type_text(stored.dtype, stored.shape)}, "
            f"the model {type_text(variable.dtype, variable.stored_shape)}"
        )
    if stored.dtype != variable.dtype and not (cast and _is_castable(stored.dtype, variable.dtype)):
        return f"the dtypes differ: the checkpoint has {stored.dtype}, the model {variable.dtype}"
    return ""


def _is_castable(one: str, other: str) -> bool:
    def family(name: str) -> str:
        if name.startswith(("float", "bfloat", "half")):
            return "float"
        return "int" if name.startswith(("int", "uint")) else name

    return family(one) == family(other)


def value_for(pair: Pair, values: FileValues) -> Any:
    """What the file has for a variable, in its dtype; of a part, that part."""
    whole = values.get(pair.key)
    return cast_to(
        whole if pair.variable.region is None else whole[pair.variable.region], pair.variable
    )


def cast_to(values: Any, variable: Variable) -> Any:
    """Values in the dtype of a variable."""
    if values.dtype.hasobject:
        return values
    return np.asarray(values).astype(tensorflow().as_dtype(variable.dtype).as_numpy_dtype)


def _report(
    model: Model, values: Values, attempt: _Attempt, which: str, seconds: float
) -> dict[str, Any]:
    bound = {pair.variable.name for pair in attempt.pairs}
    mismatched = {each["name"] for each in attempt.mismatched}
    used = {pair.key for pair in attempt.pairs} | {each["key"] for each in attempt.mismatched}
    return {
        "checkpoint": which,
        "mode": attempt.mode,
        "how": attempt.how,
        "bound": [
            {"key": pair.key, "name": pair.variable.name, "rule": pair.rule}
            for pair in attempt.pairs
        ],
        "missing": [
            {"name": each.name, "dtype": each.dtype, "shape": list(each.shape)}
            for each in model.variables
            if each.name not in bound and each.name not in mismatched
        ],
        "unused": [key for key in (values.keys if values else ()) if key not in used],
        "mismatched": attempt.mismatched,
        "assertions": attempt.assertions,
        "seconds": seconds,
    }
