"""What learns the outcome of a battle from its signals, and how well it does."""
