"""Pure: (resource, settings) to typed Kubernetes objects. Child names live here, once."""
