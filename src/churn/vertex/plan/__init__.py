"""The steps of a deployment, their cost, and the same as gcloud commands."""
