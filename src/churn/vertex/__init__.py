"""Deployment, training and scoring on Vertex AI."""
