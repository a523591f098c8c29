"""State and disk: what is open, what was changed, where it is kept. Still nothing of Dash."""
