"""Calibration: live experiments against the AEs of a topology, and the times that explain them."""
