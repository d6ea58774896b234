"""Databases of these tests."""

POSTGRESQL = "shapes_postgresql"
