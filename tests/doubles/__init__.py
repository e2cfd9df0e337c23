"""Strict stand-ins for cloud services; the services' own clients call them over HTTP."""
