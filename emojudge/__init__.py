"""emojudge: find the quantized rung of a companion model that still feels right."""

__version__ = "0.1.0"
