"""``python -m lineament``."""

from lineament.cli.app import main

if __name__ == "__main__":
    main()
