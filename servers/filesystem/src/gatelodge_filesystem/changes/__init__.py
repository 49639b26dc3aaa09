"""The undo journal: what each operation found, kept before it changes anything, so that it can be taken back."""
