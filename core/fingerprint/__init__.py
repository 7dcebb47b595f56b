"""Perceptual fingerprints: phash, PDQ, keypoints and visual words of canonical pixels.

Imports core.imaging; imported by matching, ingest and what stores a fingerprint.
"""
