"""How long a regular expression may take, told from itself: before it is tried on anything.

Python's `re` tries one way after another, cannot be stopped, and keeps all other threads waiting
meanwhile; a pattern such as `(a+)+b` has 2**n ways to fail on n characters. Here the ways are
counted, too many rather than too few: a choice is one of several ways only where the next character
does not decide it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import inf, prod
from typing import Any, NamedTuple

MOST_STEPS = 1e8
"""About a second of work."""

_MOST_WAYS = 1e5
_FEW_TIMES = 16
_MOST_COUNTS = 8
_MOST_LOOKS = 300_000
_LETTERS = frozenset(range(128)) | frozenset(map(ord, "\u00a0\u00e9\u0130\u0663\u4e00"))
"""Characters that stand for all: others are taken for members of every set."""

_CHOICES = re.compile(r"[*+?{|]")

_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}

Characters = frozenset[int]


class _Ways(NamedTuple):
    """In how many ways something matches from one place on.

    constant: whatever the text; inf where they grow faster than any power of its length. counts:
    for each further factor the characters on which it depends: as many ways as the text has these.
    """

    constant: float = 1.0
    counts: tuple[Characters, ...] = ()

    def then(self, other: _Ways) -> _Ways:
        counts = self.counts + other.counts
        return _Ways(inf if len(counts) > _MOST_COUNTS else self.constant * other.constant, counts)


class RegexCost:
    """What a pattern may cost. Raises ValueError where that grows beyond reason with any text."""

    def __init__(self, regex: re.Pattern[str]) -> None:
        self._ways = _Ways()
        self._starts = 1
        self._surely_short = int(MOST_STEPS**0.5)
        if not _CHOICES.search(regex.pattern):  # most rules are plain names
            return
        parsed: Any = re._parser.parse(regex.pattern, regex.flags & ~re.DEBUG)  # type: ignore[attr-defined]
        self._ways = _Analysis(regex).sequence(list(parsed), frozenset())
        if self._ways.constant > _MOST_WAYS:
            raise ValueError("there are too many ways in which it may match the same text")
        first = str(parsed[0][0]) if len(parsed) else ""
        anchored = first == "AT" and str(parsed[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
        self._starts = 0 if anchored else 1
        power = 1 + self._starts + len(self._ways.counts)
        self._surely_short = int((MOST_STEPS / self._ways.constant) ** (1 / power))

    def is_modest(self, text: str) -> bool:
        """Whether it takes no more than about MOST_STEPS on this text."""
        size = len(text)
        if size <= self._surely_short:
            return True
        known = [ord(character) for character in text]
        factors = (
            sum(each in wanted or each not in _LETTERS for each in known)
            for wanted in self._ways.counts
        )
        starts = size if self._starts else 1
        return self._ways.constant * starts * size * prod(1 + each for each in factors) < MOST_STEPS


@lru_cache(maxsize=512)
def cost_of(regex: re.Pattern[str]) -> RegexCost:
    """The cost of a pattern; rules are made anew with each letter that is typed. Raises as that."""
    return RegexCost(regex)


class _Analysis:
    """Walks through a pattern as `re` has taken it apart."""

    def __init__(self, regex: re.Pattern[str]) -> None:
        self._flags = regex.flags & (re.IGNORECASE | re.ASCII)
        if "(?" in regex.pattern and re.search(r"\(\?[aLmsux]*i", regex.pattern):
            self._flags |= re.IGNORECASE
        own = frozenset(map(ord, regex.pattern))
        cases = "".join(text.upper() + text.lower() for text in map(chr, own))
        self._all = _LETTERS | own | frozenset(map(ord, cases))
        self._sets: dict[str, Characters] = {}
        self._looks = 0
        self._begins: dict[int, tuple[Characters, bool]] = {}
        self._kept: list[Any] = []  # what `_begins` knows by its identity

    def sequence(self, items: Sequence[Any], behind: Characters) -> _Ways:
        """The ways of some items one after the other; behind: what may come after them."""
        ways = _Ways()
        for item in reversed(items):
            ways = ways.then(self._item(item, behind))
            begins, nullable = self._item_begins(item)
            behind = begins | behind if nullable else begins
        return ways

    def _item(self, item: Any, behind: Characters) -> _Ways:
        kind, argument = str(item[0]), item[1]
        if kind == "SUBPATTERN":
            return self.sequence(argument[3], behind)
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeat(argument, frozenset() if kind.startswith("POSS") else behind)
        if kind == "BRANCH":
            return self._branch(argument[1], behind)
        if kind == "GROUPREF_EXISTS":
            return self._branch([part or [] for part in argument[1:]], behind)
        if kind == "ATOMIC_GROUP":
            return self.sequence(argument, frozenset())
        if kind in ("ASSERT", "ASSERT_NOT"):
            return self.sequence(argument[1], frozenset())
        return _Ways()

    def _branch(self, parts: Sequence[Any], behind: Characters) -> _Ways:
        each = [self.sequence(part, behind) for part in parts]
        firsts = sorted(
            (begins | behind if nullable else begins for begins, nullable in map(self._of, parts)),
            key=len,
        )
        union: Characters = frozenset()
        overlap = False
        for first in firsts:
            overlap = overlap or not union.isdisjoint(first)
            union |= first
        constant = sum(ways.constant for ways in each)
        if not overlap:
            constant = max(ways.constant for ways in each)
        return _Ways(constant, max((ways.counts for ways in each), key=len))

    def _repeat(self, argument: Any, behind: Characters) -> _Ways:
        least, most, body = int(argument[0]), int(argument[1]), argument[2]
        begins, nullable = self._of(body)
        inside = self.sequence(body, begins | behind if most > 1 else behind)
        if most > 1 and (inside.constant > 1 or inside.counts or nullable):
            if most > _FEW_TIMES:
                return _Ways(inf)
            once = inside
            for _ in range(most - 1):
                inside = inside.then(once)
            inside = _Ways(inside.constant * (2.0**most if nullable else 1), inside.counts)
        if least == most or begins.isdisjoint(behind):
            return inside
        if most > _FEW_TIMES:
            return inside.then(_Ways(1, (behind,)))
        return inside.then(_Ways(most - least + 1))

    def _of(self, items: Any) -> tuple[Characters, bool]:
        """With which characters some items may begin, and whether they may match nothing."""
        known = self._begins.get(id(items))
        if known is None:
            begins: Characters = frozenset()
            nullable = True
            for item in items:
                first, nullable = self._item_begins(item)
                begins |= first
                if not nullable:
                    break
            known = self._begins[id(items)] = begins, nullable
            self._kept.append(items)
        return known

    def _item_begins(self, item: Any) -> tuple[Characters, bool]:
        kind, argument = str(item[0]), item[1]
        if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return self._characters(item), False
        if kind == "SUBPATTERN":
            return self._of(argument[3])
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            begins, nullable = self._of(argument[2])
            return begins, nullable or int(argument[0]) == 0
        if kind == "ATOMIC_GROUP":
            return self._of(argument)
        if kind in ("BRANCH", "GROUPREF_EXISTS"):
            parts = argument[1] if kind == "BRANCH" else [part or [] for part in argument[1:]]
            found = [self._of(part) for part in parts]
            return frozenset().union(*(each for each, _ in found)), any(n for _, n in found)
        if kind == "GROUPREF":
            return self._all, True
        return frozenset(), True  # a place, or what is looked at without being taken

    def _characters(self, item: Any) -> Characters:
        """The characters that one item takes, of those that stand for all."""
        told = repr(item)
        if told not in self._sets:
            self._looks += len(self._all)
            if self._looks > _MOST_LOOKS:
                raise ValueError("it has too many sets of characters")
            self._sets[told] = frozenset(each for each in self._all if self._takes(item, each))
        return self._sets[told]

    def _takes(self, item: Any, character: int) -> bool:
        kind, argument = str(item[0]), item[1]
        variants = {character}
        if self._flags & re.IGNORECASE:
            text = chr(character)
            variants |= {ord(each) for each in text.lower() + text.upper()}
        if kind == "ANY":
            return True
        if kind in ("LITERAL", "NOT_LITERAL"):
            return (int(argument) in variants) == (kind == "LITERAL")
        negated = str(argument[0][0]) == "NEGATE"
        found = any(self._member(each, variants) for each in argument)
        return not found if negated else found

    def _member(self, told: Any, variants: set[int]) -> bool:
        kind, argument = str(told[0]), told[1]
        if kind == "LITERAL":
            return int(argument) in variants
        if kind == "RANGE":
            return any(argument[0] <= each <= argument[1] for each in variants)
        if kind == "CATEGORY":
            return any(_in_category(str(argument), each, self._flags) for each in variants)
        return False


@lru_cache(maxsize=4096)
def _in_category(name: str, character: int, flags: int) -> bool:
    return re.match(_CATEGORIES[name], chr(character), flags) is not None
