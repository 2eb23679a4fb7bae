"""Bring phones into a Twilio conference from asyncio."""
