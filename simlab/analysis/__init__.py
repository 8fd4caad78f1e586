"""Numbers out of records: percentiles, journeys, verdicts, and what was lost."""
