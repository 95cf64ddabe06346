"""The doctor's look at values: what the statistics of each variable say, and of all together."""

from __future__ import annotations

from collections.abc import Iterator

from ckptviewer.analysis.health import FLOAT16_OVERFLOW, Mark, float16_loss, marks_of
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.checkpoint.variable import Role, Variable

NOTABLE_SHARE = 0.01
"""From this share of a tensor's values on it is told that they underflow, or are denormal."""

_REMEDIES = {
    "nan": "Go back to an earlier checkpoint; look for a division by zero, a logarithm of zero, or "
    "a learning rate that is too high.",
    "inf": "Go back to an earlier checkpoint; clip gradients, or scale the loss.",
    "all-zero": "Look whether the layer was ever connected or trained.",
    "constant": "Look whether the layer was ever connected or trained.",
    "fresh-statistics": "Train with training=True, so that the layer updates them, before it is "
    "used for inference.",
    "negative-variance": "Its square root is NaN: go back to an earlier checkpoint.",
}
_JUDGED_ROLES = frozenset(
    (Role.WEIGHT, Role.BIAS, Role.NORMALIZATION, Role.MOVING_STATISTIC, Role.MOVING_AVERAGE,
     Role.OTHER)
)  # fmt: skip


def value_findings(
    checkpoint: Checkpoint, variable: Variable, statistics: Statistics, cancel: CancelToken
) -> Iterator[Finding]:
    """What the statistics of one variable show.

    Of NaN and infinities the first is looked up, for which that variable alone is read once more,
    up to the place. Raises Cancelled.
    """
    marks = marks_of(variable, statistics)
    places = {}
    wanted = {mark.code for mark in marks} & {"nan", "inf"}
    if wanted:
        try:
            places = first_places(checkpoint, variable, wanted, cancel)
        except Cancelled:
            raise
        except CkptviewerError:
            places = {}  # it has changed meanwhile; that they are there is known
    for mark in marks:
        yield Finding(
            code=mark.code,
            severity=mark.severity,
            message=_message(variable, statistics, mark, places.get(mark.code, "")),
            remedy=_REMEDIES[mark.code],
            variable=variable.key,
        )
    if variable.role in _JUDGED_ROLES:
        yield from _overflow(variable, statistics)


class Shares:
    """Gathers, over all variables, what is worth one finding and not one for each."""

    def __init__(self) -> None:
        self._underflow: list[tuple[float, str]] = []
        self._denormal: list[tuple[float, str]] = []

    def add(self, variable: Variable, statistics: Statistics) -> None:
        """Take in the statistics of a variable."""
        if variable.role not in _JUDGED_ROLES:
            return
        # What is tiny and has one axis is mostly a bias before a normalization, without effect.
        loss = float16_loss(variable, statistics) if len(variable.shape) > 1 else None
        if loss is not None and loss.underflow > NOTABLE_SHARE * loss.nonzero:
            self._underflow.append((loss.underflow / loss.nonzero, variable.key))
        if statistics.denormal > NOTABLE_SHARE * statistics.count:
            self._denormal.append((statistics.denormal / statistics.count, variable.key))

    def findings(self) -> Iterator[Finding]:
        """What was gathered."""
        if self._underflow:
            yield _share_finding(
                "float16-underflow",
                self._underflow,
                "would lose values to zero in float16",
                "of those that are not zero",
                "Cast to bfloat16 instead, which has the range of float32.",
            )
        if self._denormal:
            yield _share_finding(
                "denormal-values",
                self._denormal,
                "have denormal values, with which processors are slow",
                "of its values",
                "Flush them to zero; weight decay without end makes such values.",
            )


def first_places(
    checkpoint: Checkpoint, variable: Variable, wanted: set[str], cancel: CancelToken
) -> dict[str, str]:
    """Where the first NaN ("nan") and the first infinity ("inf") of a variable are: "[3, 0]".

    None of a partitioned variable, whose elements come slice by slice. Raises as reading does.
    """
    import numpy as np

    if "Partitioned" in checkpoint.details(variable):
        return {}
    found: dict[str, str] = {}
    start = 0
    for chunk in checkpoint.chunks(variable):
        cancel.raise_if_cancelled()
        flat = chunk.reshape(-1)
        for code in wanted - found.keys():
            bad = np.isnan(flat) if code == "nan" else np.isinf(flat)
            if bad.any():
                found[code] = _place(start + int(bad.argmax()), variable.shape)
        if found.keys() >= wanted:
            break
        start += flat.size
    return found


def _place(position: int, shape: tuple[int, ...]) -> str:
    index = []
    for size in reversed(shape):
        position, at = divmod(position, size)
        index.append(at)
    return f"[{', '.join(map(str, reversed(index)))}]"


def _message(variable: Variable, statistics: Statistics, mark: Mark, place: str) -> str:
    key = variable.key
    if mark.code in ("nan", "inf"):
        count = statistics.nan if mark.code == "nan" else statistics.inf
        what = "NaN" if mark.code == "nan" else "infinite"
        of = f"{count_text(count)} of {plural(statistics.count, 'value')}"
        first = f", the first at {place}" if place and variable.shape else ""
        return f"{key}: {of} {'is' if count == 1 else 'are'} {what}{first}."
    if mark.code == "all-zero":
        return f"{key}: all of its {plural(statistics.count, 'value')} are zero."
    if mark.code == "constant":
        value = number_text(statistics.min)
        return f"{key}: all of its {plural(statistics.count, 'value')} are {value}."
    if mark.code == "fresh-statistics":
        value = number_text(statistics.min)
        return f"{key}: a moving statistic that is {value} throughout, as before any training."
    return f"{key}: a variance that goes down to {number_text(statistics.min)}."


def _overflow(variable: Variable, statistics: Statistics) -> Iterator[Finding]:
    low, high = float(statistics.min or 0), float(statistics.max or 0)
    if max(abs(low), abs(high)) < FLOAT16_OVERFLOW:
        return
    loss = float16_loss(variable, statistics)
    if loss is None or not loss.overflow:
        return
    count = f"{'' if loss.exact else 'at least '}{plural(loss.overflow, 'value')}"
    most = high if abs(high) >= abs(low) else low
    yield Finding(
        code="float16-overflow",
        severity=Severity.WARNING,
        message=f"{variable.key}: {count} would be infinite in float16, the largest is "
        f"{number_text(most)}.",
        remedy="Keep it in float32 or bfloat16; if such values are new, training diverges.",
        variable=variable.key,
    )


def _share_finding(
    code: str, shares: list[tuple[float, str]], what: str, of: str, remedy: str
) -> Finding:
    share, key = max(shares)
    return Finding(
        code=code,
        severity=Severity.INFO,
        message=f"{plural(len(shares), 'variable')} {what}; most of all {key}, {share:.0%} {of}.",
        remedy=remedy,
        variable=key if len(shares) == 1 else None,
    )
