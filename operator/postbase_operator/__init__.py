"""PostgreSQL databases as Kubernetes resources, and the Postbase Cloud API over them."""

__version__ = "0.1.0"
