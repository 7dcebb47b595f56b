"""The duplicate check: candidates, alignment, block comparison, verdict and explanation.

Pure: imports values and fingerprint, never storage or the event log.
"""
