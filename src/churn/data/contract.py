"""Names and numbers that requests, answers, the log, labels and the graph share."""

CUSTOMER_KEY = "customer_key"  # field with the customer's id in requests, answers, log and labels
MISSING_BELOW = -1e30  # Vertex AI's JSON has neither NaN nor null: a number this low means "missing"
