"""Search: requests, their execution, fusion of rankings, and similarity bands.

Imports queries; imported by rag and by the doors.
"""
