"""Reference methods that need no network."""
