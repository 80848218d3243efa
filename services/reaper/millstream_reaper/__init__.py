"""The reaper service: recovers what got stuck, buries what is beyond help, sweeps up. Every replica does all of it."""
