"""Tables larger than memory: a sample to judge by, and all rows, stretch by stretch, to learn from."""

from churn.stream.rows import Stream, opened
from churn.stream.train import train

__all__ = ["Stream", "opened", "train"]
