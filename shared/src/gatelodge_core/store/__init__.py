"""State that outlives a call: on one machine, a SQLite file."""
