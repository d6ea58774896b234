"""Loaded into the process of Django's own tests: Quintette in the place of Django's handlers."""
