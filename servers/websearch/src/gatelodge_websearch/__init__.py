"""Gatelodge web search server: search, read and cite, with every page as data."""
