"""The pictures that people look at: each a module of its own, so that a new style reruns that picture alone."""
