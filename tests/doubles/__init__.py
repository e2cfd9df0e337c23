"""Strict stand-ins for cloud services, spoken to over HTTP by the services' own clients."""
