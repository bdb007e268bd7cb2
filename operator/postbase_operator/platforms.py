"""What the operator is told by its environment (placeholder until the next commit)."""
