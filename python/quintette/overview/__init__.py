"""What is known about a project from its URLconf: for ``manage.py routes`` and system checks."""
