"""Measurements of the running program. Run from the project's folder: `python -m bench.forward`."""
