"""How good are the answers of a network, or of a bundle, on images, labels and clips?"""
