"""List, describe and download the published models; write their tables into a page."""

from gcp_mm.cli.zoo import main

if __name__ == "__main__":
    main()
