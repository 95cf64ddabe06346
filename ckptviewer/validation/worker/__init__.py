"""The validation worker: loads a model, restores a checkpoint, runs data, and tells of it.

It runs under an interpreter of the user's choice, from Python 3.9 on, as `python path/to/worker`,
and needs the standard library, NumPy and TensorFlow. It imports nothing of the program that starts
it; what they say to each other is written down in `channel.py`.
"""
