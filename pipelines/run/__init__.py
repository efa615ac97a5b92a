"""What the commands share: settings, a run folder and its stages, the console."""
