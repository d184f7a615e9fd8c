"""``python -m faceverify`` is ``faceverify``."""

from faceverify.cli import main

if __name__ == "__main__":
    main()
