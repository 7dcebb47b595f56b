"""One module for each command of `seenit`, imported when the command is called.

Imported by cli.main alone.
"""
