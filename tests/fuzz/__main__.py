"""`python -m tests.fuzz PARSER [--seconds N | --inputs N]`: fuzz one parser, guided by coverage.

`python -m tests.fuzz PARSER FILE...` replays single inputs; `--minimise FILE` makes one smaller.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PLACE = Path(tempfile.gettempdir()) / "ckptviewer-fuzz"
PACKAGES = ("ckptviewer.checkpoint", "ckptviewer.storage", "ckptviewer.formats", "ckptviewer.runs")
MODULES = (
    "ckptviewer.analysis.rename_preview",
    "ckptviewer.analysis.saved_comparison",
    "ckptviewer.cli.validation_output",
    "ckptviewer.export.receipt_pages",
    "ckptviewer.ui.hand_over",
    "ckptviewer.validation.graph_risks",
    "ckptviewer.validation.keras_risks",
    "ckptviewer.validation.recipe",
    "ckptviewer.validation.tfrecords",
    "ckptviewer.validation.validating",
    "pyfive",
)


def import_parsers(instrumented: bool) -> None:
    """Import all of the parsers' modules, with coverage where asked for."""

    def load() -> None:
        for package in PACKAGES:
            module = importlib.import_module(package)
            for each in pkgutil.walk_packages(module.__path__, f"{package}."):
                importlib.import_module(each.name)
        for name in MODULES:
            importlib.import_module(name)

    if not instrumented:
        load()
        return
    import atheris

    with atheris.instrument_imports(include=["ckptviewer", "pyfive"], enable_loader_override=False):
        load()


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("parser")
    parser.add_argument("files", nargs="*", type=Path, help="inputs to replay")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seeds", type=Path, default=PLACE / "seeds")
    parser.add_argument("--findings", type=Path, default=PLACE / "findings")
    parser.add_argument("--corpus", type=Path, help="keep inputs that reach new code here")
    parser.add_argument("--minimise", action="store_true", help="make FILE smaller")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer's random numbers")
    return parser.parse_intermixed_args(argv)


def main(argv: Sequence[str]) -> None:
    options = arguments(argv)
    import_parsers(instrumented=not options.files)
    from tests.fuzz.guard import Guard, limit_memory
    from tests.fuzz.place import DIRECTORY
    from tests.fuzz.targets import TARGETS

    if options.parser not in TARGETS:
        sys.exit(f"there is no such parser; there are {', '.join(TARGETS)}")
    limit_memory()
    target = TARGETS[options.parser]
    guard = Guard(target.run, options.findings / options.parser)
    if options.files:
        try:
            for file in options.files:
                if options.minimise:
                    smaller = guard.minimised(file.read_bytes())
                    file.with_name(file.name + ".min").write_bytes(smaller)
                print(file, guard.outcome(file.read_bytes()) or "fine")
        finally:
            shutil.rmtree(DIRECTORY, ignore_errors=True)
        return

    import atheris

    from tests.fuzz.mutations import mutator

    change = mutator(target)
    begun = time.monotonic()

    def finish() -> None:
        report = {
            "parser": options.parser,
            "inputs": guard.inputs,
            "seconds": round(time.monotonic() - begun),
            "cpu_seconds": round(time.process_time()),
            "slowest_seconds": round(guard.slowest_seconds, 2),
            "peak_mb": guard.peak_mb,
            "findings": sorted(guard.found),
        }
        print(json.dumps(report), flush=True)
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        os._exit(0)

    def one_input(data: bytes) -> None:
        guard.run(data)
        if guard.inputs >= options.inputs or time.monotonic() - begun > options.seconds:
            finish()

    folders = [str(options.seeds / options.parser)]
    if options.corpus:
        (options.corpus / options.parser).mkdir(parents=True, exist_ok=True)
        folders.insert(0, str(options.corpus / options.parser))
    flags = [
        f"-max_len={target.longest}",
        "-len_control=0",
        "-timeout=120",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_final_stats=0",
        f"-seed={options.seed or int(time.time())}",
        f"-artifact_prefix={options.findings}/{options.parser}/",
        "-reload=0",
    ]
    if not options.corpus:
        scratch = DIRECTORY / "corpus"
        scratch.mkdir()
        folders.insert(0, str(scratch))
    atheris.Setup([sys.argv[0], *flags, *folders], one_input, custom_mutator=change)
    atheris.Fuzz()


main(sys.argv[1:])
