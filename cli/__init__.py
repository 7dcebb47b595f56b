"""The `seenit` command."""
