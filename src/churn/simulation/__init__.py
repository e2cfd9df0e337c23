"""A year of synthetic customers, lived through with and without retraining: `churn loop`."""
