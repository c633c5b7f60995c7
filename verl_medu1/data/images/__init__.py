"""The images of questions, from published bytes to the column `images` of a row.

column.py           a source's columns of images: found, decoded, encoded and counted
files.py            the file of an image, in its folder alone
decode.py           hostile bytes -> red, green and blue of 8 bits
dicom.py            DICOM, through pydicom
gray.py             gray values of any depth -> 256 shades
encode.py           -> PNG or JPEG of bounded size, without metadata
limits.py           how large an image may be
words.py            what is wrong with an image, and what was done to it, in words
likeness.py         perceptual hashes, and a search for images that look the same
placeholders.py     where images stand in a text
prepared.py         the images of a prepared row, checked
shown.py            prompts with images, as models and servers take them
"""
