"""The machine that a step runs on: cores, memory, GPU, compiled code, Spark, embedded Valkey."""
