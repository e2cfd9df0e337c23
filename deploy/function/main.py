"""The entry point of the Cloud Run function: an anomaly of Vertex AI's monitoring, by way of Pub/Sub."""

import os

import functions_framework
from retraining import retrain


@functions_framework.cloud_event
def main(event) -> None:
    """Called once for each message, now and then twice."""
    print(retrain(event.data["message"], os.environ))
