"""The write-ahead log: its positions, the replication protocol, backups taken over it."""
