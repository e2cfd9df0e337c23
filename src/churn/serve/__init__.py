"""`churn serve`: an endpoint with Vertex AI's contract on this machine."""
