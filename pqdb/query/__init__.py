"""The filter language → bitmap of rows: conditions, payload indexes, and who is asked first."""
