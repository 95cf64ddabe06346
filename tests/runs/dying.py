"""A process of its own that prunes a run and is killed: `python -m tests.runs.dying DIR STEP KEEP`.

It dies before its system call number STEP of those that change files, and says "done" otherwise.
"""

from __future__ import annotations

import os
import sys

from ckptviewer.runs.removal import execute_removal
from ckptviewer.runs.retention import Policy, plan_retention
from ckptviewer.runs.run import find_run
from tests.dying_process import die_at


def main() -> None:
    directory, first, keep = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for step in range(first, 10_000):  # one child after the other: starting Python takes longest
        child = os.fork()
        if not child:
            try:
                plan = plan_retention(find_run(directory), Policy(keep_last=keep))
                die_at(step)
                execute_removal(plan, to_trash=False)
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            print("done" if os.WEXITSTATUS(status) == 0 else "failed", flush=True)
            return
        print("killed", flush=True)
        if sys.stdin.readline().strip() != "on":
            return


if __name__ == "__main__":
    main()
