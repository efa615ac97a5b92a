"""The stages of a training, a module each: files and plain values in, files out.

A stage is made again when what its module imports has changed, so each imports
only what it needs.
"""
