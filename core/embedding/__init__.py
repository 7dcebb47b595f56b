"""Embedding: the pipeline from bytes to fingerprint and vectors, spaces and their backfill.

Imports imaging and fingerprint; knows models only by the ports.
"""
