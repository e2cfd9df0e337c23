"""Synthetic subscriptions, payments and usage, of customers whose hazard is known."""
