"""Floor 2: bytes to Checkpoint and back, a file a format."""
