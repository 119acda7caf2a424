"""The demo: the standard library's own words, embedded, indexed, measured and searched."""
