"""What is looked at to tell whether a database is sound; one function for each check."""
