"""The way to GitHub: a pool of clients, one pinned host, bounded answers, and errors that say what to do."""
