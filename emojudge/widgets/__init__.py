"""Widgets: each draws one thing from plain values and knows no study."""
