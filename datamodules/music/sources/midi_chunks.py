"""Makes of a MIDI file as other programs write it one that every reader reads alike.

Accepted are a longer header, a wrapping such as RIFF's, other chunks and whatever follows the last track. A note that
never ends is given the end of its track, and a time signature whose denominator no program could mean is left out.
"""

from collections import Counter

from seqlight.core.errors import UserError

WRAPPING = 256  # bytes that may stand before the header: RIFF has 20, MacBinary 128
FINEST = 6  # time signatures are read down to a 64th, 2 to the power of 6
NOTE_OFF, NOTE_ON, META, END_OF_TRACK, TIME_SIGNATURE, TEXT = 0x80, 0x90, 0xFF, 0x2F, 0x58, 0x01
ONE_BYTE = (0xC0, 0xD0)  # messages of a channel with one byte of data; others have two
SYSTEM = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data of system messages, which do not belong into files


def plain_midi(content: bytes) -> bytes:
    """The header and the tracks of a file.

    Raises:
        UserError: It is no MIDI file, cut short, of format 2, or has no track.
    """
    if not content:
        raise UserError("the file is empty")
    start = content.find(b"MThd", 0, WRAPPING)
    if start < 0:
        raise UserError("not a MIDI file (it does not begin with MThd)")
    content = content[start:]
    if len(content) < 14:
        raise UserError("cut short within the header")
    kind, count = (int.from_bytes(content[at : at + 2], "big") for at in (8, 10))
    tracks = _tracks(content, count)
    if not tracks:
        raise UserError("has only a header, and no track")
    if kind == 2 and len(tracks) > 1:
        raise UserError(f"of format 2: {len(tracks)} pieces in one file; save each as a file of its own")
    header = b"MThd\0\0\0\6" + min(kind, 1).to_bytes(2, "big") + len(tracks).to_bytes(2, "big") + content[12:14]
    ended = [_with_ends(track) for track in tracks]
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in ended)


def _tracks(content: bytes, count: int) -> list[bytes]:
    """The tracks' bytes. What follows the ``count`` that the header states is read if it is a track too."""
    at = 8 + int.from_bytes(content[4:8], "big")
    tracks: list[bytes] = []
    while at + 8 <= len(content):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "big")
        missing = at + 8 + length - len(content)
        if kind != b"MTrk" and len(tracks) >= count:
            break
        if missing > 0:
            raise UserError(f"cut short: {missing:,} bytes are missing")
        if kind == b"MTrk":
            tracks.append(content[at + 8 : at + 8 + length])
        at += 8 + length
    return tracks


def _with_ends(track: bytes) -> bytes:
    """A track whose notes all end, without impossible time signatures; as it is if its events cannot be followed."""
    data, sounding = bytearray(track), Counter[tuple[int, int]]()
    at = status = 0
    end, time = len(track), b"\0"  # of what comes last, and how long after the event before it
    try:
        while at < len(track):
            first = at
            _, at = _number(track, at)
            if track[at] & 0x80:
                kind, at = track[at], at + 1
            else:
                kind = status
            if kind == META:
                what, place = track[at], at
                length, at = _number(track, at + 1)
                if what == END_OF_TRACK:
                    end, time = first, track[first : place - 1]
                    break
                if what == TIME_SIGNATURE and length >= 2 and track[at + 1] > FINEST:
                    data[place] = TEXT
                at += length
            elif kind in (0xF0, 0xF7):
                length, at = _number(track, at)
                at += length
            elif kind >= 0xF0:
                at += SYSTEM.get(kind, 0)
            elif kind < 0x80:
                return track  # data without a status
            else:
                status, note = kind, (kind & 0x0F, track[at])
                if kind & 0xF0 == NOTE_ON and track[at + 1]:
                    sounding[note] += 1
                elif kind & 0xF0 in (NOTE_OFF, NOTE_ON) and sounding[note]:
                    sounding[note] -= 1
                at += 1 if kind & 0xF0 in ONE_BYTE else 2
    except IndexError:
        return track
    if not sounding.total():
        return bytes(data)
    offs = b""
    for channel, pitch in sounding.elements():
        offs += time + bytes([NOTE_OFF | channel, pitch, 64])
        time = b"\0"
    return bytes(data[:end]) + offs + bytes([0, META, END_OF_TRACK, 0])


def _number(track: bytes, at: int) -> tuple[int, int]:
    """A number of variable length that begins at ``at``, and the place after it."""
    value = 0
    while True:
        value = value << 7 | track[at] & 0x7F
        at += 1
        if not track[at - 1] & 0x80:
            return value, at
