"""A process of its own in which exports are killed: `python -m tests.export.killing ...`.

It forks, which a process with TensorFlow's threads must not. Its arguments: the two bundles `one`
and `other`, the target, "steps" or "times", a count, a seed. The target holds `one` to begin with.
Each child writes over the target the bundle that is not there, and is killed: by itself before one
system call after the other ("steps", until one child comes through), or from outside after a time
("times"). After each kill the target must be one of the two, whole. Prints a JSON document of how
often it was which.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ckptviewer.export.choices import Choices
from ckptviewer.export.execute import execute
from ckptviewer.export.planning import make_plan
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from tests.dying_process import die_at


def content_of(prefix: Path) -> dict[str, Any]:
    """All values, verified."""
    with TensorBundleFormat().open(Path(f"{prefix}.index")) as checkpoint:
        return {each.key: checkpoint.read(each).tolist() for each in checkpoint.variables}


def export(source: Path, target: Path, beside: bool = False) -> None:
    """Write one over the other. beside: flush in another thread, as the command line does."""
    with (
        TensorBundleFormat().open(Path(f"{source}.index")) as checkpoint,
        ThreadPoolExecutor(1) if beside else nullcontext() as executor,
    ):
        execute(
            make_plan(checkpoint, Choices()),
            checkpoint,
            target,
            overwrite=True,
            shard_bytes=1 << 18,
            executor=executor,
            share_equal=True,
        )


def killed(work: Callable[[], None], seconds: float | None) -> bool:
    """Do the work in a child, killed after so many seconds; whether it died before its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a child failed by itself")
    return os.WIFSIGNALED(status)


def main() -> None:
    one, other, target = map(Path, sys.argv[1:4])
    mode, count, chance = sys.argv[4], int(sys.argv[5]), random.Random(int(sys.argv[6]))
    contents = {name: content_of(path) for name, path in (("one", one), ("other", other))}
    export(other, target)  # what Python imports on the way is not what it typically takes
    started = time.perf_counter()
    export(one, target)
    typical = time.perf_counter() - started
    there, seen, deaths = "one", Counter[str](), 0
    for round_number in range(count):
        wanted = "other" if there == "one" else "one"
        source = other if wanted == "other" else one

        def work(source: Path = source, step: int = round_number) -> None:
            if mode == "steps":
                die_at(step)
            export(source, target, mode == "times")

        seconds = chance.uniform(0, 1.2 * typical) if mode == "times" else None
        died = killed(work, seconds)
        deaths += died
        typical *= 1.05 if died else 0.9  # however fast the machine is now, most are to be killed
        found = [name for name, content in contents.items() if content == content_of(target)]
        if len(found) != 1:
            sys.exit(f"round {round_number}: the target is neither the old nor the new one")
        seen["old" if found[0] == there else "new"] += 1
        there = found[0]
        if mode == "steps" and not died:
            break
    print(json.dumps({"deaths": deaths, "there": there, **seen}))


if __name__ == "__main__":
    main()
