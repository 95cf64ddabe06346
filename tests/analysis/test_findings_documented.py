"""`resources/docs/findings.md` speaks of every finding there is, once, and of no other."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "resources" / "docs" / "findings.md"
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SEVERITIES = {"error", "warning", "info"}


def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted((ROOT / "ckptviewer").rglob("*.py"))]


def constants(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, as far as it spells them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def called(node: ast.Call) -> str:
    function = node.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def makers(modules: list[ast.Module]) -> dict[str, int]:
    """Functions that make a finding of a code that they are given, and which argument that is."""
    found = {"_Problem": 0}
    for module in modules:
        for function in ast.walk(module):
            if not isinstance(function, ast.FunctionDef):
                continue
            names = [argument.arg for argument in function.args.args if argument.arg != "self"]
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and called(call) == "Finding":
                    for keyword in call.keywords:
                        value = keyword.value
                        if keyword.arg != "code" or not isinstance(value, ast.Name):
                            continue
                        if value.id in names:
                            found[function.name] = names.index(value.id)
    return found


def codes_in_use() -> set[str]:
    modules = trees()
    of_any = makers(modules)
    codes: set[str] = set()
    for module in modules:
        by_argument = of_any | makers([module])  # two modules may have functions of one name
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and called(node) != "Risk":
                for keyword in node.keywords:
                    if keyword.arg == "code":
                        codes.update(constants(keyword.value))
                position = by_argument.get(called(node), len(node.args))
                for argument in node.args[position : position + 1]:
                    codes.update(constants(argument))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                codes.update(constants(node.value))
    return codes


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_codes_are_found_in_the_source() -> None:
    codes = codes_in_use()
    assert {"nan", "damaged-file", "truncated-shard", "counter-added", "missing-shard"} <= codes
    assert all(CODE.fullmatch(code) for code in codes), codes


def test_every_code_is_documented_once() -> None:
    documented = Counter(row[0].strip("`") for row in rows())
    assert set(documented) == codes_in_use()
    assert set(documented.values()) == {1}


def test_every_row_says_severity_meaning_and_remedy() -> None:
    for row in rows():
        code, severity, meaning, remedy = row
        assert CODE.fullmatch(code.strip("`")), row
        assert set(severity.split(" or ")) <= SEVERITIES, row
        assert meaning.endswith("."), row
        assert remedy.endswith("."), row
