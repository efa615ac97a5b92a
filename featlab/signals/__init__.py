"""Signals that learn from battles: fitted on training rows, applied to any."""
