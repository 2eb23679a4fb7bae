"""What happens on the phone: signed callbacks in, typed events and live rooms out."""
