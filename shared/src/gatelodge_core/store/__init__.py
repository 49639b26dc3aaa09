"""State that outlives a call: on one machine a SQLite file, for replicas a Valkey or Redis."""
