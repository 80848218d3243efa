"""The composition root: `millstream ...`. The one package that reads the environment and wires the others."""
