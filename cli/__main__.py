"""`python -m cli` is `seenit`."""

from cli.main import main

if __name__ == "__main__":
    main()
