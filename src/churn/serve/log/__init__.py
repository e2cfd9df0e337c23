"""The prediction log: written, compacted, read."""
