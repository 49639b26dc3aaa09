"""Judging SQL before it runs."""
