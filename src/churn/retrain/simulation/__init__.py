"""`churn loop`: a simulated year with and without retraining."""
