"""What the README and the guide say, done as it is written: ``make test-docs``."""
