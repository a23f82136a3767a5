"""Judges: figures about responses that nobody has to be asked for."""
