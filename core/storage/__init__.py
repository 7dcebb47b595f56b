"""Picture bytes in the blob store: keys, loading, previews and signed URLs.

Imports ports and keys; imported by ingest and queries.
"""
