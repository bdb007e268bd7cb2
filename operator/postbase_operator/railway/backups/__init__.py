"""Backups of Databases there."""
