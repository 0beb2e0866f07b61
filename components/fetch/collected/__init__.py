"""The events of the collector as a source, alone or beside another."""
