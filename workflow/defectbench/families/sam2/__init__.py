"""SAM 2 and 2.1 for still images of any size: the network, its weights, adapters, heads."""
