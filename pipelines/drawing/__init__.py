"""Figures of a run: one declaration each, from which picture, title, alt text and CSV follow."""
