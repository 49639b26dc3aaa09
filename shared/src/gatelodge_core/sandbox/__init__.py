"""What the process can reach."""
