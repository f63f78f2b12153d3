"""From what a person asks for to typed orders, for the command line and for Python alike."""
