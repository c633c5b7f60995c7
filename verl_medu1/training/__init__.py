"""What verl calls in a training step.

trainer.py          verl's V1 trainers with reward components, progress reports and the mixture
reward_manager.py   a rollout's tokens -> reward and components
left_out.py         responses without a verdict of the judge leave their group
failures.py         too many failures of a judge or of an environment end the run
failed_questions.py questions without an answer end the run
worker_fields.py    what of a batch the actor's workers fetch
advantages.py       rewards and advantages of a batch, changed in verl's queue
constraints.py      multipliers that keep the mean of a cost at or below its limit
reference.py        how surprising answers are to the reference model
gdpo.py             advantages with each component normalised separately
mixture_sampler.py  which rows make up a batch
batch_order.py      the responses of a batch, sorted by question
dynamic_sampling.py questions whose answers all earn the same are replaced in rounds; what that costs
mismatch.py         the alarm when the probabilities of rollout and trainer drift apart
reward_terms.py     what rewards get for components with a weight
reward_spread.py    the alarm when the rewards of a group lie too close together
metrics.py          metrics of components and shaping; validation_metrics.py those of a validation
checklist_sample.py which items of a checklist are scored in a step
checklist_metrics.py the share of items that answers have, and how often rules and judge agree
log_prob_record.py  log-probs saved with each checkpoint, to check an export against
sft_trainer.py      verl's SFT trainer with that record
"""
