"""The verbs of a collection, by what they are for. `pqdb.collection` joins them."""
