"""How the shipped network is made: synthetic images, training, evaluation and export."""
