"""From pixels to a trained network: backbones, their weights, augmentation, head training and fine-tuning."""
