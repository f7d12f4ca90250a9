"""The command line as a module, as launchers start it: `torchrun -m limbeck`."""

from limbeck.cli import main

if __name__ == "__main__":
    main()
