"""Records of what runs did: run records, lineage, the registry and challengers."""
