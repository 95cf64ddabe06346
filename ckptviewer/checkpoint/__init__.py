"""Floor 0, the vocabulary: what a checkpoint is, whatever its format. No I/O, no Qt."""
