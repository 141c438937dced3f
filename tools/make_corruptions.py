"""Make a tree like ImageNet-C or ImageNet-P from images in one folder per class."""

from gcp_mm.cli.corrupt import main

if __name__ == "__main__":
    main()
