"""The bundle as a service on Cloud Run, which costs nothing while nobody calls it."""
