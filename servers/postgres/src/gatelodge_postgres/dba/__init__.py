"""What an administrator looks at: the workload, indexes, the server's health and its activity."""
