"""The tools, by what they act on."""
