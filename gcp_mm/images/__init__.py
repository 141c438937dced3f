"""Image files: which names are images, and what their pixels are."""
