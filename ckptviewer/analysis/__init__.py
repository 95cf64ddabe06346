"""Floor 3: what the content says; pure functions and generators."""
