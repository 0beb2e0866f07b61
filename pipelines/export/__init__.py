"""The commands `dawnlist export …`, which write what a version holds to files."""
