"""Reaching databases: targets, pools, sessions, privileges."""
