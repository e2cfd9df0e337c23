"""How much a window of rows differs from training."""
