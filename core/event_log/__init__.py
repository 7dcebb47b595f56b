"""The log of a tenant: entries, deciding them, replaying them and projecting them into an index.

Imports matching; the protocol of design.md lives here.
"""
