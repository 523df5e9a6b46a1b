"""Instruments of the tests: known sources, readers of produced files, impairment, browsers and raw peers."""
