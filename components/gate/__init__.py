"""The gate step: decide whether, and which, model goes live."""
