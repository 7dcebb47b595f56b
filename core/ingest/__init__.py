"""Ways in: accepting uploads, processing them, checks, backpressure, the sweeper and retention.

Imports the event log and the pipeline; imported by the doors alone.
"""
