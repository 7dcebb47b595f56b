"""Pictures and models to measure: made ones, and real ones of a named folder.

Imported by the topics.
"""
