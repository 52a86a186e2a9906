"""Reference methods without a network."""
