"""Drift: how much a window of rows differs from the training rows."""
