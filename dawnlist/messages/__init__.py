"""Messages to people: mail, chat and web hooks, without secrets."""
