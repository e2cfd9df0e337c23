"""From a source to a checked data set, split into parts."""
