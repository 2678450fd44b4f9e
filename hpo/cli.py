"""The command `hpo`."""


def main() -> None:
    """Entry point."""
