"""The watch party's pages: the lobby, a room, and the scripts, style and short film that they use."""
