"""Rename rules that turn the keys of one side into those of the other: as few as will do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import count

from ckptviewer.checkpoint.renaming import RenameRule, rename

_MOST_RULES = 200
_MOST_TRIALS = 5_000_000
_NUMBER = re.compile(r"\d+")
_PARTS = re.compile(r"(?<=[/.])")


def rules_for(wanted: Mapping[str, str], keep: Collection[str] = ()) -> tuple[RenameRule, ...]:
    """Rules that give each key of `wanted` its new name, and leave the keys in `keep` alone.

    Where a whole scope was renamed there is one rule for it; what no scope explains gets a rule of
    its own. Applied in order they are proven to do just that, or there are none: names that swap
    cannot be put right by rules.
    """
    pending = {old: new for old, new in wanted.items() if old != new}
    if not pending:
        return ()
    rules: list[RenameRule] = []
    unchanged = [*keep, *(old for old, new in wanted.items() if old == new)]
    for rule in _insertions(pending):
        served = [old for old, new in pending.items() if rule.apply(old) == new]
        if len(served) > 1 and _harmless(rule, wanted, served, unchanged):
            rules.append(rule)
            for old in served:
                del pending[old]
    counts = Counter(
        pair for old, new in pending.items() for pair in dict.fromkeys(_candidates(old, new))
    )
    budget = _MOST_TRIALS
    for (pattern, replacement), times in counts.most_common():
        budget -= len(pending) + len(unchanged)
        if times < 2 or budget < 0:
            break
        rule = RenameRule(pattern, replacement)
        served = [old for old, new in pending.items() if rule.apply(old) == new]
        if len(served) < 2 or not _harmless(rule, wanted, served, unchanged):
            continue
        rules.append(rule)
        for old in served:
            del pending[old]
        if not pending:
            break
    if len(pending) > _MOST_RULES:
        return ()
    rules = [_exact(old, new) for old, new in pending.items()] + rules
    return tuple(rules) if _proven(rules, wanted, unchanged) else ()


def _insertions(pending: Mapping[str, str]) -> list[RenameRule]:
    """Rules that put a scope before all keys that begin alike: `a/w` and `b/w` into `net/`."""
    heads: dict[str, set[str]] = {}
    for old, new in pending.items():
        scope, slash, _ = old.partition("/")
        if new.endswith("/" + old) and slash:
            heads.setdefault(new[: len(new) - len(old)], set()).add(scope)
    return [
        RenameRule(f"^(?=(?:{'|'.join(map(re.escape, sorted(scopes)))})/)", _literal(prefix))
        for prefix, scopes in heads.items()
        if len(scopes) <= _MOST_RULES
    ]


def _candidates(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Patterns and replacements that turn `old` into `new`, the plainest first."""
    if old.endswith(new) and old[: -len(new)].endswith(("/", ".")):
        yield f"^{re.escape(old[: -len(new)])}", ""
    ours, theirs = _PARTS.split(old), _PARTS.split(new)
    tail = 0
    while tail < min(len(ours), len(theirs)) - 1 and ours[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    head = 0
    while head < min(len(ours), len(theirs)) - tail and ours[head] == theirs[head]:
        head += 1
    before, after = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    lead = "".join(ours[:head])
    # The differing middle, wherever it stands, and then together with what leads to it.
    if before and after and tail:
        yield from _both("(^|/)", "".join(before), r"\g<1>", "".join(after), "")
    if tail:
        yield from _both("^", lead + "".join(before), "", lead + "".join(after), "")
    elif before and after:
        yield from _both("", "".join(before), "", "".join(after), "$")


def _both(start: str, old: str, kept: str, new: str, end: str) -> Iterator[tuple[str, str]]:
    """The rule for all numbers alike, where the two have the same ones; and for these very texts.

    start, end: what holds the pattern. kept: what the replacement begins with.
    """
    numbers = _NUMBER.findall(old)
    if numbers and numbers == _NUMBER.findall(new):
        groups = count(2 if kept else 1)
        parts = [_literal(part) for part in _NUMBER.split(new)]
        replacement = parts[0] + "".join(f"\\g<{next(groups)}>{part}" for part in parts[1:])
        pattern = r"(\d+)".join(re.escape(part) for part in _NUMBER.split(old))
        yield f"{start}{pattern}{end}", kept + replacement
    yield f"{start}{re.escape(old)}{end}", kept + _literal(new)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\")


def _exact(old: str, new: str) -> RenameRule:
    return RenameRule(f"^{re.escape(old)}$", _literal(new))


def _harmless(
    rule: RenameRule, wanted: Mapping[str, str], served: list[str], unchanged: list[str]
) -> bool:
    """Whether the rule leaves alone what is right, and what it serves once it is served."""
    regex = rule.regex
    return not (
        any(regex.search(key) for key in unchanged)
        or any(rule.apply(wanted[old]) != wanted[old] for old in served)
    )


def _proven(rules: list[RenameRule], wanted: Mapping[str, str], unchanged: list[str]) -> bool:
    return all(rename(old, rules) == new for old, new in wanted.items()) and all(
        rename(key, rules) == key for key in unchanged
    )
