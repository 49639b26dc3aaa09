"""Style and scripts of this server's views; `gatelodge_core.apps.page` puts them together."""
