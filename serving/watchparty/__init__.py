"""The watch party: rooms that watch the same film in step, talk, and choose what comes next."""
