"""How long the event loop waits, while a model runs in its own process and the window tells."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.benchmarks.opening import display
from tests.benchmarks.registry import ROOT, benchmark

MODULE = "tests.benchmarks.contestant_validation_loop"


@benchmark("event-loop-validation")
def validation() -> None:
    """The demo validated against its model, alone and against an earlier checkpoint."""
    with display() as environment, tempfile.TemporaryDirectory() as directory:
        for name in ("APPROVALS", "HISTORY", "LOGS"):
            environment[f"CKPTVIEWER_{name}"] = os.path.join(directory, name.lower())
        environment["CKPTVIEWER_CACHE"] = "/dev/null/results.sqlite"
        command = [sys.executable, "-m", MODULE]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
