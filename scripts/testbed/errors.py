"""The one error that a person using the test bed is meant to read."""


class BedError(Exception):
    """Something the test bed needs is missing or did not happen; the text says what, and what to do next."""
