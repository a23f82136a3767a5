"""From scores to a ranking, and how far AI and people agree."""
