"""Retrieval and prompt building over ports only."""
