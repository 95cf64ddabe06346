"""Thresholds: where the borders between verdicts lie; visible, editable, and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from ckptviewer.checkpoint.errors import InvalidSettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a verdict takes; each a plain number.

    fine_tuned_relative_l2: a variable that changed by at most this share of its norm is
    fine-tuned. Fine-tuning moves weights by 0.1 to 30 %; training anew by 100 % and more.
    fine_tuned_cosine: and it has to point the same way, at least so much. A change at right angles
    of the largest share above leaves 0.89.
    re_initialised_cosine: two independent draws have a cosine of 0 within a few 1/sqrt(elements);
    at most this much counts as none (more for small tensors).
    initializer_std: how far, as a share, the new standard deviation may be from that of a common
    initializer to be taken for one (more for small tensors).
    group_share: the share of a group's elements that one verdict has to cover to be the group's.
    restoration_mean, restoration_std: the check that practitioners use after a restore; float32
    sums of a million elements err by less.
    """

    fine_tuned_relative_l2: float = 0.5
    fine_tuned_cosine: float = 0.85
    re_initialised_cosine: float = 0.1
    initializer_std: float = 0.1
    group_share: float = 0.9
    restoration_mean: float = 1e-5
    restoration_std: float = 1e-5

    def __post_init__(self) -> None:
        """Raises InvalidSettingError for a value that makes no sense."""
        for each in fields(self):
            value = getattr(self, each.name)
            limit = _AT_MOST.get(each.name, _HIGHEST)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= limit:  # as NaN is not
                raise InvalidSettingError(
                    f"{str(value)[:40]} cannot be a threshold",
                    where=each.name,
                    remedy=f"Give a number from 0 to {limit:g}.",
                )

    def to_json(self) -> dict[str, float]:
        """Name to value, for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> Thresholds:
        """What `to_json` gave; what is not in it keeps its default.

        Raises InvalidSettingError for what is no such document, and for thresholds that are not
        known: a comparison must not be judged by other borders than it says.
        """
        if not isinstance(document, Mapping):
            raise InvalidSettingError("the thresholds are no table of names and numbers")
        known = {each.name for each in fields(cls)}
        unknown = [str(name) for name in document if name not in known]
        if unknown:
            raise InvalidSettingError(
                "there is no threshold of that name",
                where=min(unknown)[:100],
                remedy=f"There are {', '.join(sorted(known))}.",
            )
        return replace(cls(), **document)


_HIGHEST = 1e6
_AT_MOST = {
    "fine_tuned_cosine": 1.0,
    "re_initialised_cosine": 1.0,
    "group_share": 1.0,
}
