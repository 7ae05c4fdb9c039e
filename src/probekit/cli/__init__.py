"""The ``probekit`` command: every subcommand in a file of its own, imported when it is asked for."""
