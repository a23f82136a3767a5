"""A judge that likes replies which stay with what was said, and a metric that counts questions.

Judges and metrics are classes without arguments. They need nothing of emojudge: a situation is a
list of messages with ``role`` and ``content``, a response has ``text``.
"""

_HURRY = ("anyway", "cheer up", "look on the bright side", "at least", "you should", "just ")


def _words(text):
    return {word.strip(".,!?…'\"").lower() for word in text.split() if len(word) > 3}


class Patience:
    """1 to 5: how much of the reply is about what was said, less what hurries past it."""

    version = "1"

    def rate(self, situation, reply):
        said = _words(situation[-1].content)
        own = _words(reply)
        taken_up = len(said & own) / max(1, len(said))
        hurried = sum(phrase in reply.lower() for phrase in _HURRY)
        score = min(5.0, max(1.0, 1 + 4 * taken_up - hurried))
        return dict.fromkeys(
            ("believability", "connection", "expressive_strength", "appropriateness"), score
        )


class Questions:
    """How many questions a reply asks, on average."""

    version = "1"

    def measure(self, responses):
        texts = [one.text for one in responses]
        return {"per_reply": sum(text.count("?") for text in texts) / len(texts)}
