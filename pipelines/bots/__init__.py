"""The commands `dawnlist bots …`: explain the verdict on a user, and judge files."""
