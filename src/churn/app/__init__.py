"""`churn app`: a page for people who do not type, on this machine."""
