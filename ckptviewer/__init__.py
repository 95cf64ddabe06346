"""ckptviewer: a browser for TensorFlow checkpoints."""

__version__ = "0.1.0"
