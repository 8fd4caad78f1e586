"""One folder per kind of AE: its part of the topology file, what it holds, what it does, and its two halves."""
