"""Changing a database: what may be changed, rehearsing it, what the person is shown, and making it."""
