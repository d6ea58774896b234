"""What the servers under test serve: the same answers, written as each framework's documents do."""
