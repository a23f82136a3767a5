"""One file a screen: compose and route."""
