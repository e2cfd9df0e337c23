"""The bundle at work: a local endpoint with Vertex AI's contract, metrics and a log that loses nothing."""
