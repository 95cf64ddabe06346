"""Floor 4: the checkpoints of one training, by step."""
