"""``python -m hiersep``: the command line, where its script is not on the path."""

from hiersep.cli import main

if __name__ == "__main__":
    main()
