"""Topics of `make bench`, a module for each: its measurement and the target it is held to.

Imported by benchmarks.__main__ alone.
"""
