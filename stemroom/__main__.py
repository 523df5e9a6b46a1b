"""`python -m stemroom` is the command `stemroom`."""

from stemroom.cli import app

if __name__ == "__main__":
    app(prog_name="stemroom")
