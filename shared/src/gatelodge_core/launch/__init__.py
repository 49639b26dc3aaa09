"""How a host starts us: stdio, HTTP, signals, health."""
