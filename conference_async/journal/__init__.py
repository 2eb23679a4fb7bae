"""Where the keys of single creates are remembered, so that each intent rings once."""
