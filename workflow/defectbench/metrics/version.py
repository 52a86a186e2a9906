"""Version of the metrics' definitions; no training depends on it."""

# Raised with any change of a definition: results of different versions are never put in one table.
METRIC_VERSION = 3
