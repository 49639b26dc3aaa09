"""Who wrote what, how far it is believed, and where it may go."""
