"""Models on disk: small ones that are made here, their folders, and their chat templates.

tiny.py           a small Qwen2 from nothing, with its own tokenizer
smollm2.py        SmolLM2-135M-Instruct out of a package's GGUF file
folder.py         config.json says what the weights are, for transformers 4 and 5
chat_template.py  how a prompt is rendered, and whether its answer can be scored
"""
