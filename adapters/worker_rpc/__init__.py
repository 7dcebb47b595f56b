"""Calls from an API to a worker over the broker: checks and text embeddings.

Imported by adapters.wiring and the worker.
"""
