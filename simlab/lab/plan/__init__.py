"""Planning: a topology and what might be changed about it, simulated many times over, with error bars."""
