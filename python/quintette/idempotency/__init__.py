"""Where the records of ``Idempotent`` are kept. As an app: in the database."""
