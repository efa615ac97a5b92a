"""What learns the outcome of a battle from its signals, and how well it does."""

from featlab.threads import wait_passively

# Before any module of this package loads LightGBM or torch.
wait_passively()
