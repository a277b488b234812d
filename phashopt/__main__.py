"""`python -m phashopt`."""

from phashopt.cli import main

if __name__ == "__main__":
    main()
