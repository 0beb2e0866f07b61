"""Filter bots: named rules find users and events to drop, with evidence for each verdict."""
