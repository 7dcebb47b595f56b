"""Evaluation of duplicate checks and retrieval on photos of your own.

Stands beside cli on the top floor; no product code imports it but the command that runs it.
"""
