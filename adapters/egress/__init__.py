"""Requests to addresses that callers or outside documents name, kept out of private networks.

Imported by adapters.factories alone; the operator's own settings (buckets, models) need no guard.
"""
