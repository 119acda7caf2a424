"""The filter language → bitmap of rows. Empty until filters are built (issue D)."""
