"""`python -m chione` does what `chione` does."""

from chione.cli import main

if __name__ == "__main__":
    main(prog_name="chione")
