"""SAM 3 asked by phrases: the network, its weights and tokens."""
