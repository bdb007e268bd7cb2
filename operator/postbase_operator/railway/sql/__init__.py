"""A Database's server: in by its proxy, or by the Caretaker beside it."""
