"""A worklist manager: orders arrive, steps are scheduled to stations, scanners report performance (MPPS)."""
