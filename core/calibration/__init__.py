"""Calibration of similarity thresholds for a tenant and a model.

Imports search; imported by the doors and the worker.
"""
