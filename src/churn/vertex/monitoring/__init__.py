"""Vertex AI's own monitoring job and its thresholds."""
