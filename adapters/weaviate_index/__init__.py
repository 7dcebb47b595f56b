"""The index on Weaviate: for more machines than one."""

from adapters.weaviate_index.index import WeaviateIndex
from adapters.weaviate_index.nodes import WeaviateNode, parse

__all__ = ["WeaviateIndex", "WeaviateNode", "parse"]
