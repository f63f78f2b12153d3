"""U-Net-style image networks on devices with little memory: export, analyse, run."""

__version__ = "0.1.0"

__all__ = ["__version__"]
