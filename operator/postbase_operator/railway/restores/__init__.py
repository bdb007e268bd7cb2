"""Databases there that begin with an archive or a dump."""
