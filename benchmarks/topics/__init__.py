"""One module for each topic of `make bench`: what is measured, and the promise it is held to.

Imported by benchmarks.__main__ alone.
"""
