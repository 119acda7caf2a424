"""One collection: its verbs, each one commit or one snapshot."""

from pqdb.verbs.care import Care
from pqdb.verbs.measuring import Measuring
from pqdb.verbs.reading import Reading
from pqdb.verbs.variants import Variants
from pqdb.verbs.writing import Writing


class Collection(Reading, Variants, Measuring, Writing, Care):
    """Points with vectors of one dimension and metric. Made by Database; safe to share between threads."""

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, dim={self.dim}, metric={self.metric!r})"
