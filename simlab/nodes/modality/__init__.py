"""A scanner: takes a step from the worklist, acquires, stores, and asks for storage commitment."""
