"""HTTP API: translation between the protocol and the use cases, and nothing else.

Imported by cli and demo.
"""
