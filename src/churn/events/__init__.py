"""From tables of events to labelled point-in-time snapshots."""
