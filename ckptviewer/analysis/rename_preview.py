"""A live preview of rename rules: what they would do to the keys, while they are being typed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ckptviewer.checkpoint.errors import BadRuleError
from ckptviewer.checkpoint.renaming import RenameRule, collisions, parse_rule
from ckptviewer.checkpoint.text import capitalised


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRow:
    """What becomes of one key.

    rules: which rules changed it, by their places.
    found: whether B has the new key. collides: whether another key becomes the same.
    """

    key: str
    new_key: str
    rules: tuple[int, ...]
    found: bool
    collides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamePreview:
    """What rules would do.

    rows: the keys that change, in the order given.
    problems: for each rule as typed what is wrong with it, "" for nothing; a bad rule does
    nothing. unused: places of good rules that change no key.
    found: how many changed keys are in B. lost: how many keys of B a changed key bore before, and
    none does after. collisions: new key to the keys that would become it.
    """

    rows: tuple[PreviewRow, ...]
    problems: tuple[str, ...]
    unused: tuple[int, ...]
    found: int
    lost: int
    collisions: dict[str, list[str]]


def parse_rules(texts: Iterable[str]) -> tuple[list[RenameRule | None], list[str]]:
    """The rules as typed, None for bad and for empty ones; and what is wrong with each."""
    rules: list[RenameRule | None] = []
    problems: list[str] = []
    for text in texts:
        try:
            rules.append(parse_rule(text) if text.strip() else None)
            problems.append("")
        except BadRuleError as error:
            rules.append(None)
            problems.append(_told(error))
    return rules, problems


def preview(
    keys_a: Collection[str], keys_b: Collection[str], rules: Sequence[str | RenameRule]
) -> RenamePreview:
    """What `rules` do to the keys of A, and which of them then are keys of B. Never raises.

    rules: as typed (`REGEX=REPLACEMENT`), or parsed. Takes about a second for 200,000 keys that a
    simple rule changes; a pattern may be written so that it takes far longer, up to a second a key,
    so do this aside.
    """
    texts = [each if isinstance(each, str) else "" for each in rules]
    parsed, problems = parse_rules(texts)
    used = [
        (place, typed if isinstance(typed, RenameRule) else parsed[place])
        for place, typed in enumerate(rules)
    ]
    good = [(place, rule) for place, rule in used if rule is not None]
    in_b = keys_b if isinstance(keys_b, (set, frozenset)) else frozenset(keys_b)
    renamed = {key: key for key in keys_a} if good else {}
    for place, rule in list(good):
        try:
            renamed = {key: rule.apply(new) for key, new in renamed.items()}
        except BadRuleError as error:
            problems[place] = _told(error)
            good.remove((place, rule))
    collided = collisions(renamed)
    rows = []
    busy: set[int] = set()
    for key, new in renamed.items():
        places = _changing(key, good) if new != key or len(good) > 1 else ()
        busy.update(places)
        if new != key:
            rows.append(
                PreviewRow(
                    key=key,
                    new_key=new,
                    rules=places,
                    found=new in in_b,
                    collides=new in collided,
                )
            )
    before = {row.key for row in rows if row.key in in_b}
    after = {row.new_key for row in rows if row.found}
    return RenamePreview(
        rows=tuple(rows),
        problems=tuple(problems),
        unused=tuple(place for place, _ in good if place not in busy),
        found=sum(row.found for row in rows),
        lost=len(before - after),
        collisions=collided,
    )


def _told(error: BadRuleError) -> str:
    return f"{capitalised(error.what)}. {error.remedy}"


def _changing(key: str, rules: Sequence[tuple[int, RenameRule]]) -> tuple[int, ...]:
    places = []
    for place, rule in rules:
        new = rule.apply(key)
        if new != key:
            places.append(place)
        key = new
    return tuple(places)
