"""What a code means: codebooks, their training, encoding, distance tables and the packing of code blocks."""
