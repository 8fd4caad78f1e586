"""A workstation: finds stable studies, retrieves them, reconstructs, and stores the results back."""
