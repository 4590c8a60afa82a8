"""From pixels to a trained network: backbones, their weights, augmentation, the head, fine-tuning."""
