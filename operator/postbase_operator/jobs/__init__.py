"""The process bodies of what runs beside a database: receiver, backup, restore."""
