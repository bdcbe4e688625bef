"""Renders the results of fuzzing: results.py is what they are, README.md documents the JSON."""
