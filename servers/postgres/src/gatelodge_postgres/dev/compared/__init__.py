"""Two schemas beside each other, and a draft of what would make one like the other."""
