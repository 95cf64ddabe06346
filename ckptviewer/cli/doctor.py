"""`ckptviewer doctor`: whether a checkpoint is sound, and what to do where it is not."""

from __future__ import annotations

import argparse
import json
import os
from itertools import groupby

from ckptviewer.checkpoint.findings import Finding, Severity, worst_first
from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import count_text, plural, printable
from ckptviewer.cli.progress_bar import progress_bar

_MOST_WORKERS = 8
_COMPILE_BYTES = 1 << 29
_MOST_OF_A_KIND = 8
_LOSSES = frozenset(
    (
        "checksum-mismatch", "damaged-block", "damaged-group", "damaged-index", "damaged-shard",
        "foreign-shard", "missing-shard", "truncated-archive", "truncated-file", "truncated-shard",
        "unreadable-variable",
    )
)  # fmt: skip
"""Findings after which something is lost, and the rest may be worth saving."""
_TITLES = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}

_DESCRIPTION = """\
Examine a checkpoint: its files, its index, every checksum, every value. Each
finding has a severity, says what and where, and what to do about it."""

_EPILOG = """\
examples:
  ckptviewer doctor model.ckpt-9000
  ckptviewer doctor model.ckpt-9000 --json | jq '.findings[].code'

Exit status: 0 healthy, no error was found; 1 not healthy; 2 it could not be
examined."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="examine a checkpoint: damage, NaN, suspect values; what to do",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="any path of the checkpoint")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; 0 if none is an error, else 1."""
    from ckptviewer.analysis.doctor import is_healthy

    findings = find(options.path)
    healthy = is_healthy(findings)
    if options.json:
        documents = [finding.as_document() for finding in findings]
        print(json.dumps({"healthy": healthy, "findings": documents}, indent=1))
    else:
        print_for_people(options.path, findings)
    return 0 if healthy else 1


def find(path: str) -> list[Finding]:
    """All findings, the errors first; a progress bar shows on a terminal meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.analysis import kernel
    from ckptviewer.analysis.doctor import examine

    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    prepared = False
    with ThreadPoolExecutor(workers) as executor, progress_bar() as show:

        def report(progress: Progress) -> None:
            nonlocal prepared
            if not prepared and progress.total > _COMPILE_BYTES:
                kernel.prepare(timeout_seconds=0)  # what is not there yet is made meanwhile
            prepared = True
            show(progress)

        findings = list(examine(path, progress=report, executor=executor, workers=workers))
    return list(worst_first(findings))


def print_for_people(path: str, findings: list[Finding]) -> None:
    """A verdict in the first line, then the findings by severity and kind, the worst first."""
    counts = {each: sum(f.severity is each for f in findings) for each in Severity}
    told = ", ".join(plural(counts[each], _TITLES[each]) for each in Severity if counts[each])
    verdict = "not healthy" if counts[Severity.ERROR] else "healthy"
    print(f"{printable(path)}: {verdict}{f' ({told})' if told else ', nothing to tell'}")
    for severity in Severity:
        chosen = [finding for finding in findings if finding.severity is severity]
        if chosen:
            print(f"\n{plural(len(chosen), _TITLES[severity]).upper()}")
        for _, alike in groupby(sorted(chosen, key=_kind), key=_kind):
            _print_alike(list(alike))

    if any(finding.code in _LOSSES for finding in findings):
        print("\n`ckptviewer rescue PATH DST` writes a new checkpoint of what is intact.")


def _kind(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.remedy


def _print_alike(alike: list[Finding]) -> None:
    """Findings of one code and remedy: the remedy once."""
    print(f"  {alike[0].code}")
    for finding in alike[:_MOST_OF_A_KIND]:
        print(f"    {printable(finding.message)}")
    if len(alike) > _MOST_OF_A_KIND:
        print(f"    and {count_text(len(alike) - _MOST_OF_A_KIND)} more; --json lists all")
    first, *rest = (alike[0].remedy or "").splitlines() or [""]
    if first:
        print(f"    -> {printable(first)}")
    for line in rest:
        print(f"         {printable(line)}")
