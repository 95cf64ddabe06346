"""Coverage-guided fuzzing of the parsers: `python -m tests.fuzz PARSER`. See README.md."""
