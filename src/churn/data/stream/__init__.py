"""Tables larger than memory, read some row groups at a time."""
