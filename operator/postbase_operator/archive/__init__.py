"""What lies in the bucket: keys, records and their versions. PURE."""
