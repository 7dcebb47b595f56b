"""The `seenit` command line: a client of the service, and its processes."""
