"""What each step may use: cores, memory, time, retries."""
