"""What the names of checkpoints tell: the step, and numbers such as a validation loss.

A single name leaves much open (`resnet50-03.h5`); its neighbours tell more: of names that differ
only in their numbers, the numbers that vary are the step and the metrics.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

UNLABELLED = "metric"
"""What a number in a name is called that has no label of its own (`weights.03-0.21.h5`)."""

_EXTENSIONS = re.compile(
    r"(?:\.(?:index|weights|h5|hdf5|keras|safetensors|npz|json|ckpt|tf|pb|model))+$", re.IGNORECASE
)
_NUMBER = re.compile(
    r"(?P<sign>(?<=[=:-])-)?"
    r"(?:(?P<decimal>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE]-\d+)(?![\d.]*\d)|(?P<whole>\d+))"
)
_TRIPLE = re.compile(r"(?<![\d.])(\d+)\.(\d+\.\d+)(?![\d.]*\d)")
_LABEL = re.compile(r"([A-Za-z][A-Za-z_]*?)[=:_. -]*$")
_STEP_RANKS = {
    "global_step": 0, "globalstep": 0, "step": 1, "steps": 1, "iter": 1, "iters": 1, "it": 1,
    "iteration": 1, "iterations": 1, "ckpt": 2, "checkpoint": 2, "cp": 2, "chkpt": 2, "chkp": 2,
    "save": 2, "epoch": 3, "epochs": 3, "ep": 3, "e": 3,
}  # fmt: skip
_NEVER_STEPS = frozenset(("v", "version", "batch", "seed", "fold", "rank"))
_UNLABELLED_RANK = 4
_LONGEST_NAME = 1024
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFacts:
    """What a name tells. step: None where it tells none. metrics: label to value."""

    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class _Number(NamedTuple):
    text: str
    label: str
    is_whole: bool
    joined: bool
    """Whether it follows its label without anything between them, as in `resnet50`."""
    ends: bool = True
    """False for the last number of a name, where a word comes behind it: `H-2-Kb`."""


def facts_of_names(names: Iterable[str]) -> dict[str, NameFacts]:
    """What each of the names of one run's checkpoints tells, by name.

    `/` separates directories from what lies in them. Linear in the length of the names.
    """
    groups: defaultdict[tuple[str, ...], list[tuple[str, list[_Number]]]] = defaultdict(list)
    for name in names:
        numbers, template = _taken_apart(name)
        groups[template].append((name, numbers))
    facts: dict[str, NameFacts] = {}
    for members in groups.values():
        told = _facts_of_group([numbers for _, numbers in members])
        facts.update(zip((name for name, _ in members), told, strict=True))
    return facts


def _facts_of_group(group: Sequence[Sequence[_Number]]) -> list[NameFacts]:
    """Facts of names of one template: a number that all of them share says nothing of one."""
    columns = list(zip(*group, strict=True))
    single = len(group) == 1
    varies = [single or len({number.text for number in column}) > 1 for column in columns]
    # Where all are whole numbers in one name and decimals in another ("0" and "0.5"), it is both.
    whole = [all(number.is_whole for number in column) for column in columns]
    step_column = _step_column(columns, varies, whole, single)
    found = []
    for numbers in group:
        metrics: dict[str, float] = {}
        for column, number in enumerate(numbers):
            if column == step_column or _is_version(number):
                continue
            if whole[column] and not (varies[column] and _may_be_metric(number, single)):
                continue
            metrics.setdefault(number.label.strip("_") or UNLABELLED, float(number.text))
        step = None if step_column is None else int(numbers[step_column].text)
        found.append(NameFacts(step=step, metrics=metrics))
    return found


def _step_column(
    columns: Sequence[Sequence[_Number]],
    varies: Sequence[bool],
    whole: Sequence[bool],
    single: bool,
) -> int | None:
    """Which of the numbers is the step: by its label, else the first that varies."""
    best: tuple[int, int] | None = None
    for column, numbers in enumerate(columns):
        first = numbers[0]
        label = first.label.lower()
        if not whole[column] or label in _NEVER_STEPS or first.text.startswith("-"):
            continue
        # Of names that share their step, as copies of one do, it is a step for its label.
        if not varies[column] and label not in _STEP_RANKS:
            continue
        rank = _rank(first)
        if single and rank == _UNLABELLED_RANK and not _stands_alone(first):
            continue
        if not varies[column]:
            rank += len(_STEP_RANKS)
        if best is None or (rank, column) < best:
            best = rank, column
    return None if best is None else best[1]


def _rank(number: _Number) -> int:
    label = number.label.lower()
    ranks = [_STEP_RANKS[label]] if label in _STEP_RANKS else []
    ranks += [_STEP_RANKS[part] for part in label.split("_")[-1:] if part in _STEP_RANKS]
    return min(ranks, default=_UNLABELLED_RANK)


def _stands_alone(number: _Number) -> bool:
    """Whether a number without neighbours to compare it with may be a step: `17`, `weights.03`."""
    return number.ends and not number.joined and not number.label.endswith("_")


def _may_be_metric(number: _Number, single: bool) -> bool:
    """Whether a whole number beside the step may be a metric: `acc=93`."""
    label = number.label.lower()
    return bool(label) and not (single or number.joined or label in _STEP_RANKS)


def _is_version(number: _Number) -> bool:
    return number.label.lower() in ("v", "version")


def _taken_apart(name: str) -> tuple[list[_Number], tuple[str, ...]]:
    """The numbers in a name with their labels, and what stands before, between and behind them."""
    text = _TRIPLE.sub(r"\1-\2", _EXTENSIONS.sub("", name[-_LONGEST_NAME:]))
    numbers: list[_Number] = []
    template: list[str] = []
    position = 0
    for match in _NUMBER.finditer(text):
        digits = match["decimal"] or match["whole"]
        if len(digits) > _MOST_DIGITS and match["whole"]:
            continue  # a hash or the like
        before = text[position : match.start()]
        template.append(before)
        position = match.end()
        within = before.rsplit("/", 1)[-1]
        label = _LABEL.search(within)
        numbers.append(
            _Number(
                text=(match["sign"] or "") + digits,
                label=_tidy(label[1], within) if label else "",
                is_whole=match["whole"] is not None,
                joined=bool(within) and within[-1].isalpha(),
            )
        )
    template.append(text[position:])
    if numbers and any(map(str.isalpha, template[-1])):
        numbers[-1] = numbers[-1]._replace(ends=False)
    return numbers, (*template, name[len(text) :])


def _tidy(label: str, within: str) -> str:
    """`val_loss` of `-val_loss=`; where an underscore joins label and number, it is kept.

    The mark at the end tells `vgg_16` from `vgg-16`, and goes where the label is a known one.
    """
    bare = label.strip("_")
    return f"{bare}_" if within.endswith("_") and bare.lower() not in _KNOWN else bare


_KNOWN = frozenset(_STEP_RANKS) | _NEVER_STEPS
