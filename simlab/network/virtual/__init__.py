"""The virtual world: the same operations in SimPy time, without sockets or pixels."""
