"""What a Kaggle kit is packed from."""
