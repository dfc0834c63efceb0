"""The recipes that ship with plait, one TOML file each."""
