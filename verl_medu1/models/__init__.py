"""Models on disk: small models made here, model folders, and chat templates.

tiny.py           a small, randomly initialised Qwen2 with its own tokenizer
tiny_vl.py        a small, randomly initialised Qwen2.5-VL, which sees images
smollm2.py        SmolLM2-135M-Instruct from a package's GGUF file
folder.py         corrects config.json, for transformers 4 and 5
weights.py        reads a folder's weights tensor by tensor
same_kind.py      whether two models' configurations, tokenizers and tensors fit each other
whole_folder.py   a folder that appears only once it is whole
merge.py          the weighted mean of two models
chat_template.py  renders prompts, and checks that a response to them can be scored
"""
