"""From a data set to a trained, cross-fitted network."""
