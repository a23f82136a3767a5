"""The action table as Textual bindings."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from emojudge.actions import actions_of


def bindings_of(scope: str, target: str = "") -> list[BindingType]:
    """Bindings with ids, so that a keymap can change their keys.

    ``target`` is ``app.`` when a screen binds what the app does.
    """
    return [
        Binding(
            ",".join(action.keys),
            target + action.call,
            action.footer or action.tooltip,
            show=False,
            tooltip=action.tooltip,
            id=action.id,
        )
        for action in actions_of(scope)
    ]
