"""What battles and predictions show: pure functions from frames and arrays to numbers.

Nothing here draws, reads or writes; `pipelines.report` makes figures of it.
"""
