"""Embedders: image and text encoders by transformers, and the spaces they name.

Imports torch; imported by adapters.factories and wiring.
"""
