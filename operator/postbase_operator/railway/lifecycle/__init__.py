"""A Database's services are made, changed, exchanged and taken away."""
