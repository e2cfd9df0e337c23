"""`churn score`: the bundle's answers for files and tables."""
