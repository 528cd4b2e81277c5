"""`python -m netsim`: the command `netsim`, of this very interpreter."""

from netsim.cli import main

if __name__ == "__main__":
    main()
