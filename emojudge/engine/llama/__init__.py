"""llama.cpp's low-level interface, as the processes that load models use it."""
