"""An archive: stores byte for byte, answers queries, sends on request, and commits to what it holds."""
