"""Moving house: points from and to files that other tools read, in bounded memory, going on after an interruption."""
