"""A preference model: an encoder with a swap-equivariant head, fine-tuned on battles.

Battles become token sequences once and targets (`training_battles`), pass the
network (`preference_network`: encoder, `preference_head`, `preference_losses`)
under one trainer (`fine_tuning`, `token_budget_trainer`), and come back as a
model (`preference_model`) whose logits are a signal (`encoder_signal`).
"""
