"""Railway's GraphQL API: asked, answered, counted; what it means by its errors."""
