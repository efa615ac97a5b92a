"""Entry points over a typed configuration: features, training, submission."""
