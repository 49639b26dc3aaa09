"""Running one query and writing its rows, within caps."""
