"""From a network to the directory that anyone can serve."""
