"""Rules that rename variables: regular expressions, applied in order to keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ckptviewer.checkpoint.errors import BadRuleError, NameCollisionError
from ckptviewer.checkpoint.regex_cost import RegexCost, cost_of
from ckptviewer.checkpoint.text import natural_sorted, printable

_ESCAPED_EQUALS = re.compile(r"(?<!\\)((?:\\\\)*)\\=")
_BARE_EQUALS = re.compile(r"(?<!\\)((?:\\\\)*)=")
_WITH_BACKSLASH = r"\1\\="
_SHOWN_COLLISIONS = 10
_LONGEST_NAME = 1 << 20
_SIMPLER = (
    "Write [^/]+ for .* where it is to stay within one part of the name, begin with ^, and repeat "
    "no group that repeats something itself."
)


@dataclass(frozen=True, slots=True)
class RenameRule:
    """One rule: wherever `pattern` is found in a key, `replacement` takes its place.

    pattern: a regular expression of Python's `re`, searched anywhere in the key; `^` and `$` hold
    it to the key's ends.
    replacement: what takes its place; `\\1` and `\\g<name>` stand for the pattern's groups.
    Raises BadRuleError for what is no regular expression, for groups that it has not, and for one
    that could take for ever (a repeat within a repeat that may take the same text in many ways).
    """

    pattern: str
    replacement: str
    regex: re.Pattern[str] = field(init=False, repr=False, compare=False)
    cost: RegexCost = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            regex = re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadRuleError(
                f"it is no regular expression: {error or type(error).__name__}",
                where=f"rename rule {printable(self.pattern)!r}",
                remedy="Write a literal dot as \\. and a bracket as \\(; and write \\= for an "
                "equals sign that belongs to the rule.",
            ) from None
        try:
            regex.sub(self.replacement, "")  # a template is checked before anything is looked for
        except (re.error, IndexError) as error:
            raise BadRuleError(
                f"its replacement cannot be used: {error}",
                where=f"rename rule {printable(self.pattern)!r}",
                remedy=f"The pattern has {regex.groups} groups: \\1 stands for the first; write "
                "\\\\ for a backslash.",
            ) from None
        try:
            cost = cost_of(regex)
        except (ValueError, RecursionError) as error:
            raise BadRuleError(
                f"it could take for ever: {error}",
                where=f"rename rule {printable(self.pattern)!r}",
                remedy=_SIMPLER,
            ) from None
        object.__setattr__(self, "regex", regex)
        object.__setattr__(self, "cost", cost)

    def apply(self, key: str) -> str:
        """`key` with every place replaced where the pattern is found.

        Raises BadRuleError where that could take longer than seconds, or would make a name of more
        than a million characters.
        """
        if not self.cost.is_modest(key):
            raise BadRuleError(
                f"it could take very long on a name of {len(key):,} characters",
                where=f"rename rule {printable(self.pattern)!r}",
                remedy=_SIMPLER,
            )
        added = len(self.replacement) * (len(key) if "\\" in self.replacement else 1)
        if added * (len(key) + 1) <= _LONGEST_NAME:
            return self.regex.sub(self.replacement, key)
        return self._bounded(key)

    def _bounded(self, key: str) -> str:
        """As `apply`; looks at how long the name gets while it does."""
        left = _LONGEST_NAME

        def expanded(match: re.Match[str]) -> str:
            nonlocal left
            groups = max(map(len, (match[0], *match.groups(""))))
            if len(self.replacement) * max(1, groups) <= 2 * _LONGEST_NAME:
                text = match.expand(self.replacement)
                left -= len(text)
                if left >= 0:
                    return text
            raise BadRuleError(
                f"it makes a name of more than {_LONGEST_NAME:,} characters",
                where=f"rename rule {printable(self.pattern)!r}",
                remedy="Shorten what it puts in, or hold it to one place with ^ or $.",
            )

        return self.regex.sub(expanded, key)

    def __str__(self) -> str:
        """The rule as `parse_rule` reads it."""
        return f"{self.pattern}={_BARE_EQUALS.sub(_WITH_BACKSLASH, self.replacement)}"


def parse_rule(text: str) -> RenameRule:
    """The rule that `REGEX=REPLACEMENT` means.

    The last equals sign without a backslash before it parts the two, so the regular expression may
    have more of them (`(?<=a)b=c`); one in the replacement is written `\\=`. An empty replacement
    takes away what is found. Raises BadRuleError.
    """
    split = _last_equals(text)
    if split < 1:
        raise BadRuleError(
            "it has no equals sign" if split < 0 else "it has no pattern",
            where=f"rename rule {printable(text)!r}",
            remedy="Write REGEX=REPLACEMENT, such as '^old_scope/=new_scope/'.",
        )
    return RenameRule(text[:split], _ESCAPED_EQUALS.sub(r"\1=", text[split + 1 :]))


def _last_equals(text: str) -> int:
    """Where the last equals sign stands that no backslash escapes; -1 where there is none."""
    position = text.rfind("=")
    while position >= 0:
        before = text[:position]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return position
        position = text.rfind("=", 0, position)
    return -1


def rename(key: str, rules: Sequence[RenameRule]) -> str:
    """`key` after each of the rules in turn; a rule sees what those before it made.

    Raises BadRuleError, see `RenameRule.apply`.
    """
    for rule in rules:
        key = rule.apply(key)
    return key


def rename_all(keys: Iterable[str], rules: Sequence[RenameRule]) -> dict[str, str]:
    """Each key with its new key, in the order of `keys`.

    Raises NameCollisionError where two keys would become one, and BadRuleError where nothing would
    be left of a key.
    """
    renamed = {key: rename(key, rules) for key in keys}
    empty = next((key for key, new in renamed.items() if not new and key), None)
    if empty is not None:
        raise BadRuleError(
            "the rules leave nothing of its name",
            where=printable(empty),
            remedy="Let the rules keep a part of the name that tells the variables apart.",
        )
    collided = collisions(renamed)
    if collided:
        raise NameCollisionError(
            f"the rules give several variables one name: {collisions_text(collided)}",
            remedy="Let the rules keep a part of the names that tells the variables apart.",
        )
    return renamed


def collisions(renamed: Mapping[str, str]) -> dict[str, list[str]]:
    """The new keys that several old ones were given, each with those old ones in natural order."""
    if len(set(renamed.values())) == len(renamed):
        return {}
    by_new: dict[str, list[str]] = {}
    for key, new in renamed.items():
        by_new.setdefault(new, []).append(key)
    return {new: natural_sorted(keys, str) for new, keys in by_new.items() if len(keys) > 1}


def collisions_text(collided: Mapping[str, Sequence[str]]) -> str:
    """What collides, for people: the first few names, each with the keys that would get it."""
    shown = [
        f"{printable(new)} (from {', '.join(map(printable, keys[:_SHOWN_COLLISIONS]))}"
        f"{f' and {len(keys) - _SHOWN_COLLISIONS} more' if len(keys) > _SHOWN_COLLISIONS else ''})"
        for new, keys in list(collided.items())[:_SHOWN_COLLISIONS]
    ]
    rest = len(collided) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more names" if rest else "")
