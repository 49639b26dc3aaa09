"""The four servers' tools as a person meets them: the `gatelodge` command line."""
