"""Blob stores: a directory or an S3-compatible object store.

Imported by adapters.wiring alone.
"""
