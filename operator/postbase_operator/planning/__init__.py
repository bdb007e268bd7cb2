"""Pure: (resource, observed, now) to a plan and a status."""
