"""The entry point of the Cloud Run function: it gets anomalies of Vertex AI's monitoring through Pub/Sub."""

import os
from typing import Any

import functions_framework
from retraining import retrain


@functions_framework.cloud_event
def main(event: Any) -> None:
    """Called once for each message, sometimes twice."""
    print(retrain(event.data["message"], os.environ))
