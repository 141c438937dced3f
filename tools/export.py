"""Export a trained classifier to ONNX, torch.export or TorchScript, and check the file."""

from gcp_mm.cli.export import main

if __name__ == "__main__":
    main()
