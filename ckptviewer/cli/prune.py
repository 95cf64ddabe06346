"""`ckptviewer prune`: remove old checkpoints of a training, safely."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.text import plural, printable, size_text

if TYPE_CHECKING:
    from ckptviewer.runs.retention import RemovalPlan

_DESCRIPTION = """\
Remove the checkpoints in a directory that no rule keeps, to the system's trash
or, with --delete, for good. It shows what would go and asks, for --delete
twice; without a terminal it removes nothing unless --yes is given.

Never removed are the one that model_checkpoint_path in the file `checkpoint`
names, one that may be being saved, and, where others have a step, one without.
All files of a checkpoint go together, and the file `checkpoint` is rewritten
before, in one step."""

_EPILOG = """\
examples:
  ckptviewer prune runs/7 --keep-last 5 --dry-run
  ckptviewer prune runs/7 --keep-last 3 --keep-every 10000
  ckptviewer prune runs/7 --keep-best val_loss --delete

Exit status: 0 done; 1 the answer was no; 2 it could not be done."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "prune",
        help="remove old checkpoints of a training, by rules",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="where the training saves")
    parser.add_argument("--keep-last", type=_count, metavar="N", help="keep the last N by step")
    parser.add_argument(
        "--keep-every", type=_count, metavar="K", help="keep those whose step is a multiple of K"
    )
    parser.add_argument(
        "--keep-best",
        metavar="METRIC",
        help="keep the best by a number in the name: val_loss, accuracy; METRIC:min or METRIC:max "
        "where the word does not tell which is better",
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="NAME", help="keep this one; repeatable"
    )
    parser.add_argument("--delete", action="store_true", help="remove for good")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say what would go")
    how.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Remove what no rule keeps; 1 where the answer was no."""
    from ckptviewer.checkpoint.errors import CkptviewerError, PathNotFoundError
    from ckptviewer.formats.resolve import local_path
    from ckptviewer.runs.removal import execute_removal
    from ckptviewer.runs.retention import Policy, plan_retention
    from ckptviewer.runs.run import find_run, with_steps_inside

    if not os.path.isdir(local_path(options.directory)):
        raise PathNotFoundError(
            "it is no directory; nothing was removed",
            where=options.directory,
            remedy="Give the directory that the checkpoints were saved in.",
        )
    found = with_steps_inside(find_run(options.directory))
    unknown = set(options.keep) - {entry.name for entry in found.checkpoints}
    if unknown:
        raise CkptviewerError(
            f"there is no checkpoint {min(unknown)!r} in it",
            where=found.path,
            remedy="`ckptviewer run` lists the names.",
        )
    policy = Policy(
        keep_last=options.keep_last,
        keep_every=options.keep_every,
        keep_best=options.keep_best,
        keep_names=frozenset(options.keep),
    )
    plan = plan_retention(found, policy)
    if not options.json:
        _print_plan(plan)
    if options.dry_run or not plan.removed:
        if options.json:
            print(json.dumps(_document(plan, options, done=False), indent=1))
        return 0
    if not options.yes:
        if not _can_ask():
            raise CkptviewerError(
                "nothing was removed: there is no terminal to ask on",
                where=found.path,
                remedy="Say --yes to remove, or --dry-run to see what would go.",
            )
        if not _agreed(plan, for_good=options.delete):
            print("Nothing was removed.", file=sys.stderr)
            return 1
    removal = execute_removal(plan, to_trash=not options.delete)
    if options.json:
        print(json.dumps(_document(plan, options, done=True), indent=1))
    else:
        where = "moved to the trash" if removal.to_trash else "removed for good"
        freed = size_text(removal.bytes_freed)
        when = " once the trash is emptied" if removal.to_trash else ""
        print(f"{plural(len(removal.removed), 'checkpoint')} {where}; {freed} freed{when}.")
    return 0


def _document(plan: RemovalPlan, options: argparse.Namespace, *, done: bool) -> dict[str, Any]:
    """What is kept and removed, by name."""
    return {
        "kept": [kept.entry.name for kept in plan.kept],
        "removed": [entry.name for entry in plan.removed],
        "bytes_freed": plan.bytes_freed,
        "reasons": {kept.entry.name: list(kept.reasons) for kept in plan.kept},
        "to_trash": not options.delete,
        "dry_run": not done,
    }


def _print_plan(plan: RemovalPlan) -> None:
    for kept in plan.kept:
        print(printable(f"keep    {kept.entry.name}  ({'; '.join(kept.reasons)})"))
    for entry in plan.removed:
        print(printable(f"remove  {entry.name}  {size_text(entry.size_bytes)}"))
    count = plural(len(plan.removed), "checkpoint")
    print(f"{count} to remove, {size_text(plan.bytes_freed)}.")


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _agreed(plan: RemovalPlan, *, for_good: bool) -> bool:
    """Ask; twice where there is no way back."""
    count = plural(len(plan.removed), "checkpoint")
    where = "for good" if for_good else "to the trash"
    if not _asked(f"Remove {count} {where}? [y/N] "):
        return False
    return not for_good or _asked("There is no way back. Really? [y/N] ")


def _asked(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
