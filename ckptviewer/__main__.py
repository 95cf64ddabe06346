"""The program's door: leads to the window or to the command line, and loads only one of them."""

from __future__ import annotations

import sys

from ckptviewer.cli import SUBCOMMANDS


def main(arguments: list[str] | None = None) -> int:
    """Run ckptviewer with the arguments of the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and (arguments[0] in SUBCOMMANDS or arguments[0] in ("-h", "--help", "--version")):
        try:
            from ckptviewer.cli.main import run

            return run(arguments)
        except KeyboardInterrupt:  # while modules were loaded; later ones are told by `run`
            print("ckptviewer: interrupted", file=sys.stderr)
            return 2
    from ckptviewer.ui.start import start

    return start(arguments)


if __name__ == "__main__":
    sys.exit(main())
