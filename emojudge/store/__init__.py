"""The study folder: append-only logs with one writer each, and TinyDB tables that follow them."""
