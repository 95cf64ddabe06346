"""Choosing variables: every term of the filter language, hostile text, and globs."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ckptviewer.checkpoint.selection import (
    filter_rows,
    glob_test,
    haystacks,
    matching,
    parse_filter,
)
from ckptviewer.checkpoint.variable import Role, Variable

VARIABLES = [
    Variable("enc/L0/kernel", "enc/L0/kernel", "float32", (3, 3, 1, 16), 576, Role.WEIGHT,
             trainable=True, shard=0),
    Variable("enc/L0/bias", "enc/L0/bias", "float32", (16,), 64, Role.BIAS, trainable=True,
             shard=0),
    Variable("enc/L0/kernel/m", "enc/L0/kernel/m", "bfloat16", (3, 3, 1, 16), 288,
             Role.OPTIMIZER_SLOT, slot_of="enc/L0/kernel", slot_name="m", shard=1),
    Variable("enc/mean", "enc/mean", "float16", (1000, 1000), 2_000_000, Role.MOVING_STATISTIC,
             trainable=False, shard=1),
    Variable("_variables/7", "adam/Enc Kernel velocity", "float32", (2, 0), 0,
             Role.OPTIMIZER_STATE, shard=-1),
    Variable("global_step", "global_step", "int64", (), 8, Role.COUNTER),
]  # fmt: skip
KEYS = [variable.key for variable in VARIABLES]


def keys(text: str, **marks: set[int]) -> list[str]:
    """The keys that a text of the filter language leaves in sight."""
    rows = filter_rows(parse_filter(text), VARIABLES, haystacks(VARIABLES), marks)
    return [KEYS[row] for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kernel", [0, 2, 4]),
        ("KERNEL enc", [0, 2, 4]),
        ("enc KERNEL l0", [0, 2]),
        ("velocity", [4]),  # of the name
        ("_variables", [4]),  # of the key
        ("-kernel", [1, 3, 5]),
        ("enc -l0", [3, 4]),
        ('"enc kernel"', [4]),
        ('-"enc kernel" kernel', [0, 2]),
        ('"Enc Kernel', [4]),  # the closing quote is being typed
        ("role:weight", [0]),
        ("role:optimizer", [2, 4]),
        ("ROLE:Optimizer-Slot", [2]),
        ("role:weight,bias", [0, 1]),
        ('role:"weight"', [0]),
        ("-role:optimizer", [0, 1, 3, 5]),
        ("dtype:float", [0, 1, 3, 4]),
        ("dtype:float16", [3]),
        ("dtype:bfloat16,int64", [2, 5]),
        ("shape:3x3x1x16", [0, 2]),
        ("shape:16,1000x1000", [1, 3]),
        ("shape:3x3", []),
        ("rank:0", [5]),
        ("rank:1,2", [1, 3, 4]),
        ("rank>=2", [0, 2, 3, 4]),
        ("trainable:yes", [0, 1]),
        ("trainable:True", [0, 1]),
        ("trainable:no", [3]),
        ("trainable:unknown", [2, 4, 5]),
        ("trainable:yes,no", [0, 1, 3]),
        ("-trainable:unknown", [0, 1, 3]),
        ("shard:0", [0, 1]),
        ("shard:0,1", [0, 1, 2, 3]),
        ("name:velocity", [4]),
        ("key:velocity", []),
        ("key:_VARIABLES", [4]),
        ('name:"enc kernel"', [4]),
        ("size>1M", [3]),
        ("size>2MB", []),
        ("size>=2MB", [3]),
        ("size>1.9m", [3]),
        ("size>1.91Mi", []),
        ("size>1.9MiB", [3]),
        ("size<=64", [1, 4, 5]),
        ("size<64", [4, 5]),
        ("size=64B", [1]),
        ("-size=64", [0, 2, 3, 4, 5]),
        ("elements>1000", [3]),
        ("elements=144", [0, 2]),
        ("elements<1", [4]),
        ("size>=.5k", [0, 3]),
        ("enc size<1k role:weight", [0]),
    ],
)  # fmt: skip
def test_terms(text: str, expected: list[int]) -> None:
    assert keys(text) == [KEYS[row] for row in expected]


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "\t\n", '"', '""', '-""', '-"', "role:", "-role:", 'dtype:"', "-shape:,", "rank:",
        "-rank:,,", "trainable:", "size>", "-size>", "size>=", "elements<", "size>k", "size>.",
        "-elements<=Mi",
    ],
)  # fmt: skip
def test_what_is_being_typed_hides_nothing(text: str) -> None:
    assert keys(text) == KEYS
    assert parse_filter(text).is_empty


@pytest.mark.parametrize("word", ["trainable:yes", "role:weight", "dtype:bfloat16"])
def test_each_letter_of_a_term_keeps_what_the_whole_term_finds(word: str) -> None:
    found = set(keys(word))
    assert found
    for end in range(word.index(":") + 1, len(word)):
        assert found <= set(keys(word[:end])), word[:end]


def test_minus_alone_is_a_word() -> None:
    assert keys("-") == []
    assert keys("--") == KEYS  # no "-" in any
    variable = Variable("a-b", "a-b", "int8", (), 1)
    assert filter_rows(parse_filter("-"), [variable], haystacks([variable])) == [0]


def test_marks() -> None:
    assert keys("nan", nan={1, 3}) == ["enc/L0/bias", "enc/mean"]
    assert keys("-nan", nan={1, 3}) == [KEYS[row] for row in (0, 2, 4, 5)]
    assert keys("nan l0", nan={1, 3}) == ["enc/L0/bias"]
    assert keys("mean", mean={0}) == ["enc/L0/kernel", "enc/mean"]  # a mark, or within the name
    assert keys("nan") == []


@pytest.mark.parametrize(
    "text",
    [
        "rank:\u00b2", "shard:\u00b2", "rank:\u0661", "size>\u0661", "size>\u00b2",
        "rank:" + "9" * 5000, "size>" + "9" * 5000, "size<" + "9" * 5000 + "T", "size>1.2.3",
        "size>-1", "size>1e9", "(" * 1000, "[a-", "*", "\\", "a" * 100_000, "-" * 100_000,
        '"' * 9999, "size>" + "1" * 30_000 + "x", "role:" + "," * 9999, "\udcff", "\x00", "%s{0}",
        'a:"' * 5000, "shape:" + "x" * 9999, "name:\n", "role:\u0130",
    ],
    ids=lambda text: ascii(text[:12]),
)  # fmt: skip
def test_hostile_text_is_understood_somehow(text: str) -> None:
    assert set(keys(text)) <= set(KEYS)


@given(text=st.text() | st.text(alphabet='-":,<>=.x1kMnaroledtypsizh ²\n', max_size=30))
@example(text="rank:²")
def test_no_text_raises(text: str) -> None:
    assert set(keys(text, nan={0})) <= set(KEYS)


# The filter language once more, as slowly and plainly as can be.

Naive = Callable[[Variable], bool]


def plain_word(word: str) -> Naive:
    return lambda v: word.lower() in v.key.lower() or word.lower() in v.name.lower()


def number_of(v: Variable, field: str) -> int:
    if field == "size":
        return v.stored_bytes
    if field == "rank":
        return len(v.shape)
    count = 1
    for size in v.shape:
        count *= size
    return count


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}
UNITS = {"": 1, "k": 1000, "M": 10**6, "G": 10**9, "Ki": 1024, "MiB": 1024**2, "kB": 1000}


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, Naive]:
    kind = draw(st.sampled_from(["word", "quoted", "field", "number"]))
    if kind == "word":
        word = draw(st.text(alphabet="abAB/_.1", min_size=1, max_size=3))
        text, test = word, plain_word(word)
    elif kind == "quoted":
        word = draw(st.text(alphabet="aB/ :", min_size=1, max_size=4))
        text, test = f'"{word}"', plain_word(word)
    elif kind == "number":
        field = draw(st.sampled_from(["size", "elements", "rank"]))
        operator = draw(st.sampled_from(sorted(COMPARE)))
        count, unit = draw(st.integers(0, 50)), draw(st.sampled_from(sorted(UNITS)))
        text = f"{field}{operator}{count}{unit}"
        limit, compare = count * UNITS[unit], COMPARE[operator]
        test = lambda v: compare(number_of(v, field), limit)  # noqa: E731
    else:
        field, parts, test = draw(fields())
        text = f"{field}:{','.join(parts)}"
    if draw(st.booleans()):
        return f"-{text}", lambda v: not test(v)
    return text, test


@st.composite
def fields(draw: st.DrawFn) -> tuple[str, list[str], Naive]:
    field = draw(st.sampled_from(["role", "dtype", "rank", "shard", "shape", "trainable", "key"]))
    choices = {
        "role": ["weight", "opt", "optimizer-slot", "b"],
        "dtype": ["float", "float32", "int8"],
        "rank": ["0", "1", "2"],
        "shard": ["0", "1"],
        "shape": ["2x3", "2", "0"],
        "trainable": ["yes", "no", "unknown"],
        "key": ["a", "B/", "."],
    }[field]
    parts = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=3))
    tests: dict[str, Naive] = {
        "role": lambda v: any(str(v.role)[: len(part)] == part for part in parts),
        "dtype": lambda v: any(v.dtype[: len(part)] == part for part in parts),
        "rank": lambda v: len(v.shape) in [int(part) for part in parts],
        "shard": lambda v: v.shard in [int(part) for part in parts],
        "shape": lambda v: list(v.shape) in [[int(n) for n in p.split("x")] for p in parts],
        "trainable": lambda v: {True: "yes", False: "no", None: "unknown"}[v.trainable] in parts,
        "key": lambda v: any(part.lower() in v.key.lower() for part in parts),
    }
    return field, parts, tests[field]


variables = st.builds(
    Variable,
    key=st.text(alphabet="abB/_.1 :", max_size=6),
    name=st.text(alphabet="abB/ ", max_size=4),
    dtype=st.sampled_from(["float32", "float64", "bfloat16", "int8"]),
    shape=st.sampled_from([(), (0,), (2,), (2, 3), (50, 1000)]),
    stored_bytes=st.sampled_from([0, 8, 24, 49_000, 30_000_000, 1 << 20]),
    role=st.sampled_from(list(Role)),
    trainable=st.sampled_from([True, False, None]),
    shard=st.integers(-1, 2),
)


@given(chosen=st.lists(terms(), max_size=4), listed=st.lists(variables, max_size=12))
def test_filter_is_all_of_its_terms(
    chosen: list[tuple[str, Naive]], listed: list[Variable]
) -> None:
    filter_ = parse_filter("  ".join(text for text, _ in chosen))
    expected = [row for row, v in enumerate(listed) if all(test(v) for _, test in chosen)]
    assert filter_rows(filter_, listed, haystacks(listed)) == expected


def test_haystacks_hold_key_and_name_in_lower_case() -> None:
    texts = haystacks(VARIABLES)
    assert texts[0] == "enc/l0/kernel"
    assert "_variables/7" in texts[4]
    assert "adam/enc kernel velocity" in texts[4]


# Globs


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], [0, 1, 2, 3, 4, 5]),
        (["enc/*"], [], [0, 1, 2, 3]),
        (["enc"], [], [0, 1, 2, 3]),  # a group means all that is in it
        (["enc/"], [], [0, 1, 2, 3]),
        (["enc/L0/kernel"], [], [0, 2]),
        (["*/kernel"], [], [0, 2]),
        (["*kernel*"], [], [0, 2]),
        (["adam/*"], [], [4]),  # of the name
        (["*velocity", "global_step"], [], [4, 5]),
        ([], ["enc"], [4, 5]),
        (["enc"], ["*/bias", "*/m"], [0, 3]),
        (["enc/L?/bias"], [], [1]),
        (["enc/[Ll]0/bias"], [], [1]),
        (["ENC/*"], [], []),  # keys mind upper and lower case
        (["en"], [], []),
        ([""], [], []),
    ],
)
def test_globs(include: list[str], exclude: list[str], expected: list[int]) -> None:
    assert matching(VARIABLES, include, exclude) == [VARIABLES[row] for row in expected]


def test_no_glob_matches_nothing() -> None:
    assert not any(map(glob_test([]), VARIABLES))


texts = st.text(alphabet="ab/*?[]!-\n.", max_size=8)


@given(name=texts, glob=texts)
def test_one_glob_and_many_agree_with_fnmatch(name: str, glob: str) -> None:
    bare, other = glob.rstrip("/"), "\x01other"
    variable = Variable(name, other, "int8", (), 1)
    expected = any(fnmatchcase(each, end) for each in (name, other) for end in (bare, bare + "/*"))
    assert glob_test([glob])(variable) == expected
    assert bool(matching([variable], ["zzz", glob])) == glob_test([glob])(variable)
    assert bool(matching([variable], [], [glob])) != glob_test([glob])(variable)
