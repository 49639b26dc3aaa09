"""Names that the keeper, the servers and the loader share; in a module of their own, since the keeper is to stay small."""

from __future__ import annotations

FOLDER = "postgres-demo"
"""Below the state folder."""
ROOTS_FOLDER = "/var/lib/gatelodge-postgres-demo"
"""Where the state folder is one that only root can go through, as in root's home: PostgreSQL isn't run by root."""
USERS, STARTING, ALIVE = "users.lock", "starting.lock", "alive.lock"
"""Held by servers in common, by who starts it, and by the keeper."""
PLACE, MADE, LOG = "place.json", "made", "log"
"""Where it runs, what made it, and what went wrong."""
GENERATION = 1
"""Raise it when the shop changes: what an older version made is then made anew."""
DATABASE, READER, WRITER = "shop", "shop_reader", "shop_writer"
SUPERUSER = "postgres"
PORT = 5432
"""Part of the socket's name."""
