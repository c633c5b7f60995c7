"""A language model at an OpenAI-compatible endpoint: asked by the judge, and by an environment's patient.

settings.py    the endpoint and how it is asked
completion.py  what is sent, and what is read of a reply
client.py      sends: bounded in time and size, paced, counted
bounded.py     replies of which no more is read than may be
once.py        equal questions are asked once
"""

from reward_score.chat.client import ChatClient, Usage
from reward_score.chat.completion import ChatError, Completion, messages
from reward_score.chat.once import Once
from reward_score.chat.settings import ChatSettings

__all__ = ["ChatClient", "ChatError", "ChatSettings", "Completion", "Once", "Usage", "messages"]
