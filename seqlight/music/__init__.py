"""Music as lists of notes: statistics, copies, piano rolls, scores and sound."""
