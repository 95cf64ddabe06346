"""The whole program by keyboard alone, on a screen of its own; by hand: `python -m tests.tour`."""
