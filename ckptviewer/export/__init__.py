"""Floor 4: writing a checkpoint, with proof."""
