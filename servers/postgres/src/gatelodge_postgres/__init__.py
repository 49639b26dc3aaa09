"""Gatelodge PostgreSQL server: read-only in five layers, capped answers, previewed and confirmed changes."""
