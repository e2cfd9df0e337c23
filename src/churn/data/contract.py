"""Names and numbers that requests, answers, the log, labels, reports and the graph share."""

CUSTOMER_KEY = "customer_key"  # field with the customer's id in requests, answers, log and labels
MISSING_BELOW = -1e30  # Vertex AI's JSON has neither NaN nor null: a number this low means "missing"
FEW_CUSTOMERS = 8  # a text of fewer may name a person: no bundle holds it
SHOWN_FROM = 5  # customers who share a text that is shown: the text of fewer may name a person
