"""Agent loops: how responses are sampled.

single_turn.py    one turn, each response with its own sampling seed
several_turns.py  several turns with an environment
llm_client.py     which of vLLM's servers gets a request
episode.py        the tokens of such a conversation, and its limits
components.py     what a reward's components say of it
failed_calls.py   when too many of an environment's calls have failed
answer_gain.py    how much an environment helps to the right answer
perception.py     whether a response rests on the picture
log_prob.py       how probable the policy finds tokens
observation.py    text from outside, made harmless
names.py          names of loops, and of what an episode leaves
sampling.py       seeds and sampling of one turn

agent_loops.yaml names the classes for verl.
"""
