"""Clients and state of a deployment on Google Cloud."""
