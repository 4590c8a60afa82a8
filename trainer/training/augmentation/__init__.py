"""Random changes to training pictures: geometry, color, degradation, mixing and RandAugment."""
