"""What a developer looks for: names and join paths, what columns hold, exports, code for types, differences."""
