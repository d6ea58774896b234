"""Why a server is left out."""


class UnavailableError(Exception):
    """The server cannot be run here; the text says what is missing."""
