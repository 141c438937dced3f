"""List, describe and download the published models; write their tables into the README."""

from gcp_mm.cli.zoo import main

if __name__ == "__main__":
    main()
