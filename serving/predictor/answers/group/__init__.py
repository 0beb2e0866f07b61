"""The list of a group: what its members can watch together, by their own scores."""
