"""Synthetic ECG pages with exact truth: drawing, degradation and the map between the two."""
