"""A campaign that workers on many machines dial together."""
