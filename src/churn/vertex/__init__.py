"""The only room that talks to Vertex AI; Google's SDK is imported by the functions that need it."""
