"""Holding the virtual world against the live one: the same arrivals in both, and what differs."""
