"""The ensemble: from the columns of signals to calibrated probabilities, and to a bundle."""
