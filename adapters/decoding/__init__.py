"""Decoding in child processes under limits of time and memory.

Imported by adapters.wiring alone; the child imports core.imaging.
"""
