"""The report of a run, one HTML file without scripts, and its model card."""
