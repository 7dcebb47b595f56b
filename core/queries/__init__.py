"""Read models: records, jobs, joined views, snapshots of index plus tail, waiting and export.

Imports the event log; imported by search and by the doors.
"""
