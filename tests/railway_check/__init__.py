"""`make railway-check`: what of Railway can only be known with a token of one's own."""
