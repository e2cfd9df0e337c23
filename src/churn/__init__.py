"""Customer churn, from a raw table to a model that is served, watched and retrained."""
