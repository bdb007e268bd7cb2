"""Railway: its GraphQL API, and what a Database is there."""
