"""Routes: a module for each group of paths of the HTTP contract.

Imported by api.app alone.
"""
