"""The stages of a training, a module each: files and plain values in, files out.

A stage is made again when what its module imports has changed, so each imports
only what it needs. All take keywords. In those that stack, `table` names the
files that the members learn from, and `signals` is each signal's columns in it;
`seed` is the root seed.
"""
