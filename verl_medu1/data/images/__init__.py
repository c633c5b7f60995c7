"""The images of questions, from published bytes to the column `images` of a row.

placeholders.py     where images stand in a text
shown.py            prompts with images, as models and servers take them
"""
