"""The machine that a step runs on: cores, memory, GPU, compiled code, Spark and the embedded store."""
