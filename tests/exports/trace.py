"""Decodes a trace with Perfetto's own descriptors, and prints what is in it as JSON."""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent


def unknown(message):
    """The fields that the descriptors do not have, in the message and all that are in it."""
    found = [f"{message.DESCRIPTOR.name}.{field.field_number}" for field in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                found += unknown(inner)
    return found


def argument(value):
    """An argument of a slice as plain data."""
    if value.dict_entries:
        return {entry.name: argument(entry) for entry in value.dict_entries}
    if value.array_values:
        return [argument(entry) for entry in value.array_values]
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


trace = Trace.FromString(open(sys.argv[1], "rb").read())
tracks, counters, units, open_slices, slices = {}, {}, set(), {}, []
clocks, sequences, instants = set(), set(), []
for packet in trace.packet:
    sequences.add(packet.trusted_packet_sequence_id)
    if packet.HasField("track_descriptor"):
        track = packet.track_descriptor
        parent = f"{tracks[track.parent_uuid]}/" if track.HasField("parent_uuid") else ""
        assert track.uuid not in tracks, "a track is described twice"
        tracks[track.uuid] = parent + track.name
        if track.HasField("counter"):
            units.add(track.counter.unit)
    if not packet.HasField("track_event"):
        continue
    event = packet.track_event
    clocks.add(packet.timestamp_clock_id)
    name = tracks[event.track_uuid]
    if event.type == TrackEvent.TYPE_COUNTER:
        assert event.HasField("counter_value")
        counters.setdefault(name, []).append([packet.timestamp, event.counter_value])
    elif event.type == TrackEvent.TYPE_SLICE_BEGIN:
        assert event.track_uuid not in open_slices, "slices overlap"
        open_slices[event.track_uuid] = {
            "track": name,
            "name": event.name,
            "category": list(event.categories),
            "start": packet.timestamp,
            "args": {arg.name: argument(arg) for arg in event.debug_annotations},
        }
    elif event.type == TrackEvent.TYPE_SLICE_END:
        slices.append(open_slices.pop(event.track_uuid) | {"end": packet.timestamp})
    else:
        raise ValueError(f"an event of type {event.type}")
first = trace.packet[0]
json.dump(
    {
        "unknown_fields": unknown(trace),
        "unfinished": len(open_slices),
        "first_flags": first.sequence_flags,
        "primary_clock": first.clock_snapshot.primary_trace_clock,
        "snapshot": [[clock.clock_id, clock.timestamp] for clock in first.clock_snapshot.clocks],
        "clocks": sorted(clocks),
        "sequences": sorted(sequences),
        "units": sorted(units),
        "counters": counters,
        "slices": slices,
    },
    sys.stdout,
)
