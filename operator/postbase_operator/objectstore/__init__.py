"""The object store: a narrow, synchronous protocol, and S3 behind it."""
