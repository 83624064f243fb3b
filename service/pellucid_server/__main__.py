def main() -> None:
    """Starts the server."""
