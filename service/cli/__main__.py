"""`python -m service.cli` is `myoscreen`."""

from service.cli import main

main()
