"""limbeck distils the chain-of-thought reasoning of large language models into small ones.

The Python interface is `limbeck.runs`; the command line is `limbeck --help`.
"""

__version__ = "0.1.0"
