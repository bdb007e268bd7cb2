"""The custom resources as types: one file a kind. Their schema is the CRDs' only source."""
