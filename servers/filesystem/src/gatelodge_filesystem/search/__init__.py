"""Searching in the content of files: one engine that answers, and ripgrep to tell it where not to look."""

from gatelodge_filesystem.search.engine import search, search_file
from gatelodge_filesystem.search.model import FileHits, Hit, Hits, Request
from gatelodge_filesystem.search.showing import Page, page, summary

__all__ = ["FileHits", "Hit", "Hits", "Page", "Request", "page", "search", "search_file", "summary"]
