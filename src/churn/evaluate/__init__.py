"""What the model is worth: numbers, baselines, money, the report."""
