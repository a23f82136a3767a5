"""The scripted encoder with other dimensions than before, and without the head's probe."""

from __future__ import annotations

from tests.fakes.scripted_encoder import serve

if __name__ == "__main__":
    serve(400)
