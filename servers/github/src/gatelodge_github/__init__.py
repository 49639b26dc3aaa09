"""GitHub behind the lodge."""
