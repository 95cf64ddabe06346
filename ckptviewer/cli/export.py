"""`ckptviewer export`: a slimmed, renamed or converted checkpoint, with proof."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import (
    BadRuleError,
    CkptviewerError,
    UnknownVariableError,
)
from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import THIN_SPACE, elide_middle, plural, printable, size_text
from ckptviewer.cli import restore_check
from ckptviewer.cli.reports import require_place

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.export.choices import Choices
    from ckptviewer.export.execute import Report
    from ckptviewer.export.plan import ExportPlan
    from ckptviewer.export.receipt import Receipt

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_FORMATS = ("tf-bundle", "safetensors", "keras-weights-h5", "npz")

_DESCRIPTION = """\
Write a part of a checkpoint, or all of it, as a new one: slimmed for
inference, renamed, cast, or in another format. It is read back and compared
with the source before it gets its name; the source is not touched.

A variable is kept if the preset keeps it, what is given of --include, --role
and --dtype all match, and no --exclude does. An object-based checkpoint stays
one: its object graph and save_counter are kept. Where the file does not say
what is trainable, the preset `trainable` goes by roles, and says so. The
directory of DST has to exist; it gets a file `checkpoint` unless one is there
that names checkpoints which are."""

_EPILOG = """\
examples:
  ckptviewer export model.ckpt-9000 slim.ckpt --preset inference --dry-run
  ckptviewer export model.ckpt-9000 slim.ckpt --preset inference
  ckptviewer export model.ckpt-9000 model.safetensors --cast bfloat16
  ckptviewer export weights.npz model.ckpt
  ckptviewer export model.ckpt-9000 slim.ckpt --preset inference \\
      --restore-check model.keras --receipt receipt.html

Exit status: 0 written and verified, or with --dry-run printed; 1 written, and
--restore-check found that TensorFlow does not restore it; 2 it could not be
done, and what was at DST before is still there."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="write a slimmed, renamed, cast or converted copy, verified",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="any path of the checkpoint")
    parser.add_argument("destination", metavar="DST", help="prefix or file of the new one")
    _add_selection(parser)
    _add_changes(parser)
    restore_check.add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at DST")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    parser.add_argument(
        "--receipt",
        metavar="FILE",
        help="also write the receipt to a file, with the times to open and to load both: JSON, or "
        "a page to read if the name ends in .md or .html",
    )
    parser.set_defaults(run=run)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is kept")
    group.add_argument(
        "--preset",
        choices=("inference", "trainable", "all"),
        default="all",
        help="inference: the model and its moving statistics, without what only training needs; "
        "trainable: what is trained; all: everything (the default)",
    )
    for name, help_ in (
        ("include", "only variables whose key or name matches"),
        ("exclude", "no variable whose key or name matches"),
    ):
        group.add_argument(
            f"--{name}", action="append", default=[], metavar="GLOB", help=help_ + "; repeatable"
        )
        group.add_argument(
            f"--{name}-regex",
            action="append",
            default=[],
            metavar="REGEX",
            help="the same, by regex",
        )
    group.add_argument(
        "--role", action="append", default=[], help="only this role: weight; repeatable"
    )
    group.add_argument(
        "--dtype", action="append", default=[], help="only this dtype: float32; repeatable"
    )
    group.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="KEY",
        help="keep this one, whatever the rest says",
    )
    group.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="KEY",
        help="drop this one, whatever the rest says",
    )


def _add_changes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is changed, and as what it is written")
    group.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="REGEX=REPL",
        help="rename keys, by a rule or a set of rules (tf1-to-tf2, tf2-to-tf1, ...); repeatable, "
        "each rule in turn",
    )
    group.add_argument(
        "--cast",
        metavar="DTYPE",
        help="write floating-point values as float16, bfloat16, float32 or float64",
    )
    group.add_argument(
        "--cast-role",
        action="append",
        default=[],
        metavar="ROLE",
        help="cast only this role; repeatable",
    )
    group.add_argument(
        "--use-ema",
        action="store_true",
        help="write moving averages in the place of the weights",
    )
    group.add_argument(
        "--format", choices=_FORMATS, help="default: by the suffix of DST, else tf-bundle"
    )
    group.add_argument(
        "--name-based", action="store_true", help="write a bundle without an object graph, by names"
    )
    group.add_argument(
        "--shard-size", metavar="SIZE", help="begin another data file at this size: 2G, 500M"
    )


def run(options: argparse.Namespace) -> int:
    """Write it, or say what would be written."""
    from ckptviewer.export.execute import check_destination, final_path
    from ckptviewer.export.planning import make_plan
    from ckptviewer.export.receipt_pages import write_receipt
    from ckptviewer.export.writers import writer_of
    from ckptviewer.formats.resolve import open_checkpoint

    choices = choices_of(options)
    path = final_path(options.destination, choices.format)
    with open_checkpoint(options.source) as checkpoint:
        _require_known(checkpoint, (*options.keep, *options.drop))
        if options.receipt and not options.dry_run:
            require_place(options.receipt, [checkpoint], path)
        plan = make_plan(checkpoint, choices)
        _require_use(plan)
        check_destination(
            checkpoint,
            path,
            overwrite=options.overwrite or options.dry_run,
            writer=writer_of(plan.format),
        )
        model = restore_check.model_to_check(options)
        if options.dry_run:
            receipt = _predicted(plan, checkpoint, path)
        else:
            receipt = _written(plan, checkpoint, options)
    if options.receipt and not options.dry_run:  # before the check, which may find nothing out
        receipt = _with_receipt_file(receipt, options.receipt)
    if model is not None:
        receipt = restore_check.checked(receipt, model, options.python or "")
        if options.receipt:
            write_receipt(receipt, options.receipt)
    if not options.dry_run:
        _complain_of(plan)  # not before: what fails says why, and nothing else
    if options.json:
        print(json.dumps(receipt.as_full_document(), indent=1))
    else:
        _print_for_people(receipt)
    return 0 if restore_check.restores(receipt) else 1


def choices_of(options: argparse.Namespace) -> Choices:
    """What the options mean. Raises BadRuleError for a name or a rule that cannot be used."""
    from ckptviewer.checkpoint.dtypes import BY_NAME
    from ckptviewer.checkpoint.rename_sets import rules_of
    from ckptviewer.checkpoint.variable import Role
    from ckptviewer.export.choices import CAST_ROLES, CASTABLE, CastRule, Choices, Preset
    from ckptviewer.export.writers import format_of_name

    roles = [str(role) for role in Role]
    cast = None
    if options.cast is not None:
        wanted = "float16" if options.cast == "half" else options.cast
        _require(wanted, CASTABLE, "--cast")
        chosen = frozenset(Role(_require(each, roles, "--cast-role")) for each in options.cast_role)
        cast = CastRule(dtype=wanted, roles=chosen or CAST_ROLES)
    elif options.cast_role:
        raise BadRuleError("--cast-role says what is cast, and --cast is not given", remedy="")
    return Choices(
        preset=Preset(options.preset),
        include=tuple(options.include),
        exclude=tuple(options.exclude),
        include_regex=tuple(options.include_regex),
        exclude_regex=tuple(options.exclude_regex),
        roles=frozenset(Role(_require(each, roles, "--role")) for each in options.role),
        dtypes=frozenset(_require(each, list(BY_NAME), "--dtype") for each in options.dtype),
        ticks=dict.fromkeys(options.keep, True) | dict.fromkeys(options.drop, False),
        renames=tuple(rule for text in options.rename for rule in rules_of(text)),
        cast=cast,
        use_ema=options.use_ema,
        format=options.format or format_of_name(options.destination),
        shard_bytes=_bytes_of(options.shard_size) if options.shard_size else None,
        name_based=options.name_based,
    )


def _require(name: str, known: list[str] | tuple[str, ...], option: str) -> str:
    if name not in known:
        raise BadRuleError(
            f"{printable(name)!r} is not known", where=option, remedy=f"Say {', '.join(known)}."
        )
    return name


def _bytes_of(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match is not None and len(match[1]) < 20:
        power = " kmgt".index(match[2].lower() or " ")
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** power)
    if size < 1:
        raise BadRuleError(
            f"{printable(text)!r} is no size", where="--shard-size", remedy="Say 2G, 500M, 1.5Gi."
        )
    return size


def _require_known(checkpoint: Checkpoint, keys: tuple[str, ...]) -> None:
    """Raise UnknownVariableError for a key that the source does not have."""
    for key in keys:
        if key not in checkpoint.by_key:
            raise UnknownVariableError(
                f"it has no variable {printable(key)!r}",
                where=checkpoint.path,
                remedy="`ckptviewer list` prints the keys that it has.",
            )


def _require_use(plan: ExportPlan) -> None:
    """Raise CkptviewerError where what would be written is of no use."""
    from ckptviewer.checkpoint.findings import Severity

    for finding in plan.findings:
        if finding.severity is Severity.ERROR:
            raise CkptviewerError(finding.message.removesuffix("."), remedy=finding.remedy)


def _predicted(plan: ExportPlan, checkpoint: Checkpoint, path: str) -> Receipt:
    """What the receipt would say; casts are tried, and their losses told."""
    from ckptviewer.export.casting import cast_findings, predict_cast
    from ckptviewer.export.receipt import receipt_of_plan

    with _progress() as report:
        losses = predict_cast(plan, checkpoint, report=report)
    found = cast_findings(losses, plan.casts[0].dtype) if losses else []
    plan = replace(plan, findings=(*plan.findings, *found))
    return receipt_of_plan(plan, path, losses)


def _written(plan: ExportPlan, checkpoint: Checkpoint, options: argparse.Namespace) -> Receipt:
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.export.execute import execute

    with ThreadPoolExecutor(1) as executor, _progress() as report:
        return execute(
            plan,
            checkpoint,
            options.destination,
            overwrite=options.overwrite,
            report=report,
            executor=executor,
            state_file=True,
            share_equal=True,
        )


def _with_receipt_file(receipt: Receipt, path: str) -> Receipt:
    from ckptviewer.export.measuring import with_timings
    from ckptviewer.export.receipt_pages import write_receipt

    with _progress() as report:
        receipt = with_timings(receipt, report=report)
    write_receipt(receipt, path)
    return receipt


def _complain_of(plan: ExportPlan) -> None:
    for finding in plan.warnings:
        print(f"ckptviewer: {_plain(finding.message)}", file=sys.stderr)


def _plain(text: str) -> str:
    return printable(text.replace(THIN_SPACE, " "))


@contextmanager
def _progress() -> Iterator[Report | None]:
    """A line on a terminal that says how far it has come, and how fast it goes."""
    import time

    from ckptviewer.export.rate import Rate

    if not sys.stderr.isatty():
        yield None
        return
    rate, shown = Rate(), [0.0]

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if now - shown[0] < 0.1:
            return
        shown[0] = now
        text = f"{progress.fraction:4.0%} {rate.text(progress):24} {progress.label}"
        print(f"\r{elide_middle(printable(text), 78):78}", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        print(f"\r{'':78}\r", end="", file=sys.stderr, flush=True)


def _print_for_people(receipt: Receipt) -> None:
    dry = receipt.verified is None
    if dry:
        for each in receipt.kept:
            new = f" as {each.key_written}" if each.key_written != each.key else ""
            cast = f" as {each.dtype}" if each.dtype else ""
            print(printable(f"keep: {each.key}{new}{cast}: {each.reason}"))
        for gone in receipt.dropped:
            print(printable(f"drop: {gone.key}: {gone.reason}"))
        for finding in receipt.findings:
            print(_plain(f"{finding.severity}: {finding.message} {finding.remedy}".rstrip()))
    kept, dropped = plural(len(receipt.kept), "variable"), len(receipt.dropped)
    before, after = size_text(receipt.bytes_before), size_text(receipt.bytes_after)
    if dry:
        print(f"{kept} would be kept and {dropped} dropped: {before} to about {after}.")
        return
    print(
        f"{kept} written to {printable(receipt.destination)} and verified, {dropped} dropped: "
        f"{before} to {after}."
    )
    check = receipt.restore_check
    if check is not None:
        verdict = (
            "TensorFlow restores it" if check["restores"] else "TensorFlow does not restore it"
        )
        print(printable(f"{verdict} into {check['model']}: {check['message']}"))
