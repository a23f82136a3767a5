"""Replacing the core: generations on disk, one symlink that says which is current."""
