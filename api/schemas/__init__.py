"""Schemas: bodies of requests and answers, fields of forms, and their rendering.

Imported by the routes.
"""
