"""The command line that makes the comparison which the window shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ckptviewer.analysis.comparison import ComparisonOptions
from ckptviewer.checkpoint.renaming import RenameRule, rename


def command_line(path_a: str, path_b: str, options: ComparisonOptions | None = None) -> str:
    """`ckptviewer compare A B ...` with the same options, quoted for a POSIX shell.

    Matches by hand become rules for these very keys. What was left without a partner by hand
    cannot be said so, and is left out.
    """
    options = options or ComparisonOptions()
    words = ["ckptviewer", "compare", _path(path_a), _path(path_b)]
    tolerance = options.tolerance
    for name, number in (("--atol", tolerance.atol), ("--rtol", tolerance.rtol)):
        if number:
            words += [name, repr(number)]
    for rule in (*options.rules, *_rules_of(options.by_hand, options.rules)):
        words += [f"--rename={rule}"]
    for name, wanted in (
        ("--model-only", options.model_only),
        ("--values", options.values),
        ("--all", options.include_metadata),
    ):
        words += [name] if wanted else []
    return shlex.join(words)


def _rules_of(by_hand: Mapping[str, str | None], rules: tuple[RenameRule, ...]) -> list[RenameRule]:
    """A rule for each match by hand, for the key as the other rules leave it."""
    made = []
    for key_a, key_b in by_hand.items():
        if key_b is not None:
            pattern = f"^{re.escape(rename(key_a, rules))}$"
            made.append(RenameRule(pattern, key_b.replace("\\", "\\\\")))
    return made


def _path(path: str) -> str:
    """A path that no option is mistaken for."""
    return f"./{path}" if path.startswith("-") else path
