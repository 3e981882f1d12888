"""Music as lists of notes: measured, compared with what was learned from, drawn, engraved and made to sound."""
