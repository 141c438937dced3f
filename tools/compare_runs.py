"""Put the training curves of several runs into one figure and one JSON file."""

from gcp_mm.cli.compare import main

if __name__ == "__main__":
    main()
