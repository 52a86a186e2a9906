"""Typed configuration: one module per stage, so that an edit of one stage's keys makes no other stage stale."""
