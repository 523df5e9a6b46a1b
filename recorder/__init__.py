"""Journals (written by the node) and the process that turns them into per-track files on one timeline."""
