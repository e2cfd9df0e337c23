"""`churn monitor`: input drift and model performance."""
