"""Long runs that look for what is never given back; by hand: `python -m tests.soak`."""
