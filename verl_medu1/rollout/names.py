"""Names that agent loops and what reads their responses have in common."""

# Of the loops in agent_loops.yaml: one turn with a seed of its own, and several.
SEEDED_LOOP, EPISODE_LOOP = "medu1_seeded", "medu1_episode"
OUR_LOOPS = (SEEDED_LOOP, EPISODE_LOOP)
# Key of verl's `extra_fields` of a response that has an episode.
EPISODE = "episode"
# Key of `extra_fields` and component: how much more probable a response is with its picture (perception.py).
# Component: what an answer is worth for that.
PERCEPTION_GAIN, PERCEPTION = "perception_gain", "perception"
# How an episode ended: the model ended it, it had no turn left, or no room for another.
ANSWERED, OUT_OF_TURNS, OUT_OF_ROOM = "answered", "turns", "room"
