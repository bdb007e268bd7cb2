"""Archiving there: the service that receives the log."""
