"""Writes docs/keys.md from the action table; ``make keys``."""

from __future__ import annotations

from pathlib import Path

from emojudge.actions import APP, SCREENS, actions_of, key_label

PAGE = Path(__file__).parent.parent / "docs" / "keys.md"


def key_page() -> str:
    """The page as Markdown."""
    lines = [
        "# Keys",
        "",
        "Every key can be changed in `settings.toml` by its id (see [the guide](guide.md)).",
    ]
    for scope in (*SCREENS, APP):
        lines += ["", f"## {'everywhere' if scope == APP else scope}", "", "| keys | what | id |"]
        lines += ["|---|---|---|"]
        for action in actions_of(scope):
            keys = " ".join(f"`{key_label(key)}`" for key in action.keys)
            lines.append(f"| {keys} | {action.tooltip} | `{action.id}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(key_page())
