"""Convert a published or torchvision checkpoint to mmpretrain's layout, or back."""

from gcp_mm.cli.convert import main

if __name__ == "__main__":
    main()
