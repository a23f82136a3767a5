"""How contexts are sized, for those who make them and those who plan for them."""

from __future__ import annotations

_STEP = 256


def context_tokens(needed: int) -> int:
    """Tokens of a context that holds ``needed``: llama.cpp pads to this step anyway."""
    return -(-needed // _STEP) * _STEP
