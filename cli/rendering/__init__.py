"""Answers as text on a terminal: verdicts, results and names that others wrote.

Imported by the commands.
"""
