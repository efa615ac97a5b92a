"""What battles and predictions show: pure functions from frames and arrays to numbers.

Nothing here draws, reads or writes; `pipelines.drawing` makes figures of it.
"""
