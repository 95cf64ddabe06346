"""Floor 5: the command line; one file a subcommand."""

SUBCOMMANDS = (
    "list",
    "stats",
    "compare",
    "export",
    "doctor",
    "rescue",
    "run",
    "average",
    "prune",
    "validate",
)
