"""What may happen: the steps every call walks through, and what may be said on the wire."""
