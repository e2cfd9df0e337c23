"""`churn loop`: simulate a year with and without retraining."""
