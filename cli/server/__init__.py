"""Serving HTTP with uvicorn: sockets, the protocol, signals and log lines.

Imported by the commands that run a service.
"""
