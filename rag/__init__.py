"""Retrieval and prompt building, over the ports of core only.

Imported by api, cli and evaluation.
"""
