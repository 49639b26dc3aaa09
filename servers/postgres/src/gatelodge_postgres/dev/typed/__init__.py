"""Code for the types of tables, in several languages."""
