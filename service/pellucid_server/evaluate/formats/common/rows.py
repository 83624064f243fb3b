class BadRow(Exception):
    """A row that cannot be used; the message says why. `line` is of the file it stands in."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def located(path: str, line: int = 0) -> str:
    """File and line, as annotations are located."""
    return f"{path}:{line}" if line else path
