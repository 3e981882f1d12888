"""Music to ids and back: events of notes, REMI, frames of chorales; metre and key as an event."""
