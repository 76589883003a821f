"""Requests and markers that nobody would send or write, by the million."""
