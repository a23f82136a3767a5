"""Finding, reading, validating and hashing GGUF files, and Pass 1's metadata beside them."""
