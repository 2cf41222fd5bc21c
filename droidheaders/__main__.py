"""The `droidheaders` command."""


def main() -> None:
    """Run the command line."""
    from droidheaders.cli.main import run

    run()


if __name__ == "__main__":
    main()
