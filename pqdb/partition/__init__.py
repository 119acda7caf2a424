"""Where a row lies: the centroids of the inverted lists, and the list of each row."""
