"""PostgreSQL: connections, statements, roles, what it says of itself."""
