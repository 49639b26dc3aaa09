"""The one safe way out to the network."""
