"""Try the paper's claims: run a plan, judge them by its rule, and write a page."""

from gcp_mm.cli.reproduce import main

if __name__ == "__main__":
    main()
