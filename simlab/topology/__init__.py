"""What exists: nodes, sites and links as frozen values, read from a strict YAML file. Runs nothing."""
