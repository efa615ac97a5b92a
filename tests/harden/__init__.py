"""What tries to break the project: kills, a machine that refuses, and damaged or hostile files.

``make harden N=100`` runs all three, seeded; `.ci/run` runs a small N.
"""
