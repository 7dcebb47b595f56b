"""Index on Weaviate, shared by processes on several machines."""

from adapters.weaviate_index.index import WeaviateIndex
from adapters.weaviate_index.nodes import WeaviateNode, parse

__all__ = ["WeaviateIndex", "WeaviateNode", "parse"]
