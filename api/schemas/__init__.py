"""Schemas: bodies of requests and answers, fields of forms, and their rendering.

Imported by the routes and by the modules of api that read bodies and write errors.
"""
