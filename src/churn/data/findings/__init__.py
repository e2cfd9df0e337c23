"""What a reader of the report must know about the data."""
