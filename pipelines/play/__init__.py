"""A local page on which a person guesses against a run's model."""
