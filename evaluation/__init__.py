"""Evaluation: how well duplicates are found and pictures retrieved, on photos of one's own.

Stands beside cli on the top floor; no product code imports it but the command that runs it.
"""
