"""Differences inside and around a shared region, the relation they make, and their statements.

Builds on regions; knows nothing of verdicts or the log.
"""
