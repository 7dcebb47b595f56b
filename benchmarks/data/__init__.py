"""Pictures and models that are measured: made ones, and real ones where a folder is named.

Imported by the topics.
"""
