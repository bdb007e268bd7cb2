"""Kubernetes: the session, server-side apply, observation."""
