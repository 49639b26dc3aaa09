"""Search engines: what each is asked and answers, how often, and what becomes of several answers."""
