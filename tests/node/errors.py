"""What ends a command: one line that says what failed or what to do next."""


class NodeError(Exception):
    """Its text is the last line that a person or a check reads."""
