"""Floor 4: running a model on a checkpoint, in another process."""
