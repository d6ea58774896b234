"""One Django project, served by every server that can serve Django."""
