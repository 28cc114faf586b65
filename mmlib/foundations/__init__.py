"""What every later chapter stands on."""
