"""Composition root: configuration, command line, and the one place where the parts are wired together."""

__version__ = "0.1.0"
