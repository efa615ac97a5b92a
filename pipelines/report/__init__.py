"""The report: one page of figures, from a finished run."""
