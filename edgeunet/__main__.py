"""``python -m edgeunet``."""

from edgeunet.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
