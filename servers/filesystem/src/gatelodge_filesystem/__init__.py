"""The filesystem server: files of chosen folders, confined to them, with byte-exact edits."""
