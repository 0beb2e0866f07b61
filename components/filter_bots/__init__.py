"""Filter bots: named rules say whose interactions don't count, with the evidence for each verdict."""
