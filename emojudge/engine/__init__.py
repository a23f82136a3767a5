"""llama.cpp and the encoder, each in worker processes that speak JSON lines."""
