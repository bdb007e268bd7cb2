"""The REST gateway: the Postbase Cloud API over the same custom resources that kubectl and Git see.

`routes` is the one table: it drives router, validation and OpenAPI. The modules that it names
answer from a watch cache and write custom resources; nothing here decides anything else about a
database.
"""
