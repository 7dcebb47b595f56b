"""Shared regions: maps between two pictures, their chance, and the agreement of pixels under them.

Pure numpy and OpenCV; knows the policy, and nothing of differences, verdicts or the log.
"""
