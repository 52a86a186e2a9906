"""Parts that several model families share: adapters, files of weights, feature cache."""
