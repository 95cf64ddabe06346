"""Choosing variables: globs for scripts, and the filter language of the window.

The filter language: words separated by blanks, all of which must match, in any order.
A plain word matches within key or name, upper and lower case alike. `role:optimizer-slot`,
`dtype:float16`, `shape:3x3`, `rank:2`, `trainable:yes|no|unknown`, `shard:0` compare a field (a
comma separates alternatives; role and dtype match by their beginnings). `size>1M`, `size<=4k`,
`elements>1000` compare a number; k, M, G, T are powers of 1000, Ki, Mi, Gi, Ti of 1024. A minus
before a word takes its matches away. `"two words"` in quotes are one word. Marks such as `nan` or
`damaged` match variables that bear the mark, too. A term that is being typed (`role:`, `-size>`)
hides nothing yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from ckptviewer.checkpoint.variable import Variable

_WORD = re.compile(r'-?(?:[\w-]+(?::|[<>]=?|=))?"[^"]*"?|\S+')
_COMPARISON = re.compile(
    r"(size|elements|rank)(<=|>=|<|>|=)(\d*(?:\.\d*)?)(?:([kmgt])(i?))?b?$",
    re.ASCII | re.IGNORECASE,
)
_FIELD = re.compile(r"(role|dtype|shape|rank|trainable|shard|name|key):(.*)$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRAINABLE = {"yes": True, "true": True, "no": False, "false": False, "unknown": None}

Test = Callable[[Variable], bool]


def matching(
    variables: Iterable[Variable], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[Variable]:
    """The variables that any glob of `include` matches (all, without one) and none of `exclude`.

    A glob is tried on key and name; `*` also matches "/". A glob that names a group takes all that
    is in it: "encoder/layer_0" means "encoder/layer_0/*", too.
    """
    wanted = glob_test(include) if include else None
    unwanted = glob_test(exclude) if exclude else None
    return [
        variable
        for variable in variables
        if (wanted is None or wanted(variable)) and not (unwanted and unwanted(variable))
    ]


def glob_test(globs: Sequence[str]) -> Test:
    """A test whether any of the globs matches a variable; see `matching`."""
    if not globs:
        return _nothing
    match = re.compile("|".join(map(_expression, globs))).match
    return lambda variable: bool(match(variable.key) or match(variable.name))


def _expression(glob: str) -> str:
    glob = glob.rstrip("/")
    return f"{translate(glob)}|{translate(glob + '/*')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A text of the filter language, understood.

    words: must occur in key or name (lower case), or be a mark that the variable bears.
    without: must not. tests: must hold.
    """

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    tests: tuple[Test, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything matches."""
        return not (self.words or self.without or self.tests)


def parse_filter(text: str) -> Filter:
    """Understand a text of the filter language; what is no term of it is a plain word."""
    words: list[str] = []
    without: list[str] = []
    tests: list[Test] = []
    for token in _WORD.findall(text):
        negative = len(token) > 1 and token[0] == "-"
        term = token[1:] if negative else token
        test = _comparison(term) or _field(term)
        if test is not None:
            if test is not _everything:
                tests.append(_negated(test) if negative else test)
            continue
        word = term.replace('"', "").lower()
        if word:
            (without if negative else words).append(word)
    return Filter(words=tuple(words), without=tuple(without), tests=tuple(tests))


def haystacks(variables: Iterable[Variable]) -> list[str]:
    """For each variable the text in which plain words are looked for; made once a checkpoint."""
    return [
        variable.key.lower()
        if variable.name == variable.key
        else f"{variable.key}\n{variable.name}".lower()
        for variable in variables
    ]


def filter_rows(
    filter_: Filter,
    variables: Sequence[Variable],
    texts: Sequence[str],
    marks: Mapping[str, Collection[int]] | None = None,
) -> list[int]:
    """The rows of `variables` that match. `texts` come from `haystacks`.

    marks: mark ("nan") to the rows that bear it.
    """
    rows: Iterable[int] = range(len(variables))
    for word in filter_.words:
        marked = (marks or {}).get(word, ())
        if marked:
            rows = [row for row in rows if word in texts[row] or row in marked]
        else:
            rows = [row for row in rows if word in texts[row]]
    for word in filter_.without:
        marked = (marks or {}).get(word, ())
        rows = [row for row in rows if word not in texts[row] and row not in marked]
    for test in filter_.tests:
        rows = [row for row in rows if test(variables[row])]
    return list(rows)


def _everything(_variable: Variable) -> bool:
    """The test of a term that is being typed."""
    return True


def _nothing(_variable: Variable) -> bool:
    return False


def _negated(test: Test) -> Test:
    return lambda variable: not test(variable)


def _comparison(term: str) -> Test | None:
    match = _COMPARISON.match(term)
    if match is None:
        return None
    field, operator, digits, unit, binary = match.groups(default="")
    if digits in ("", "."):
        return _everything
    limit = float(digits) * (1024 if binary else 1000) ** _POWERS[unit.lower()]
    measure: Callable[[Variable], int] = {
        "size": lambda variable: variable.stored_bytes,
        "elements": lambda variable: variable.element_count,
        "rank": lambda variable: len(variable.shape),
    }[field.lower()]
    compare: Callable[[float], bool] = {
        "<": lambda value: value < limit,
        ">": lambda value: value > limit,
        "<=": lambda value: value <= limit,
        ">=": lambda value: value >= limit,
        "=": lambda value: value == limit,
    }[operator]
    return lambda variable: compare(measure(variable))


def _field(term: str) -> Test | None:
    match = _FIELD.match(term)
    if match is None:
        return None
    field = match[1].lower()
    wanted = tuple(part for part in match[2].replace('"', "").lower().split(",") if part)
    if not wanted:
        return _everything
    if field == "trainable":
        states = {state for word, state in _TRAINABLE.items() if word.startswith(wanted)}
        return lambda variable: variable.trainable in states
    if field in ("rank", "shard"):
        # As texts: what was typed may be no number, or one without end.
        if field == "rank":
            return lambda variable: str(len(variable.shape)) in wanted
        return lambda variable: str(variable.shard) in wanted
    if field == "shape":
        return lambda variable: "x".join(map(str, variable.shape)) in wanted
    if field in ("name", "key"):
        return lambda variable: any(part in getattr(variable, field).lower() for part in wanted)
    return lambda variable: getattr(variable, field).startswith(wanted)
