"""Somebody else's AE: a real PACS or any SCP, known by host, port and AE title."""
