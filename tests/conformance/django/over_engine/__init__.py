"""Loaded into the process of Django's own tests: Quintette's database engines, and its loop."""
