"""Associations that others request, and what comes over them."""
