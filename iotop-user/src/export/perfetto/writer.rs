//! Writes packets: the clock, tracks when they are first used, and what happens on them.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;
use prost::Message as _;

use super::proto::{
    Annotation, CLEARED, Clock, ClockSnapshot, CounterDescriptor, EXPLICIT, Kind, REALTIME,
    SIZE_BYTES, Trace, TracePacket, TrackDescriptor, TrackEvent,
};
use crate::{escape::escape, sample::Number};

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;

/// A track. The numbers are its place among the tracks of its parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Track {
    /// What is not recorded.
    Recording,
    /// The parent of a device's tracks. `None`: the device is not known.
    Device(Option<Number>),
    /// Bytes on a device.
    OnDevice(Option<Number>, i32, &'static str),
    /// Spikes of a device.
    Spikes(Number),
    /// What a command submitted to a device, and the number of the track if slices overlap.
    Submitter(Number, Arc<str>, usize),
    /// The parent of the owners' tracks.
    Owners,
    /// Bytes of an owner.
    Owner(i32, Arc<str>),
}

impl Track {
    fn parent(&self) -> Option<Track> {
        match self {
            Track::Recording | Track::Device(_) | Track::Owners => None,
            Track::OnDevice(device, ..) => Some(Track::Device(*device)),
            Track::Spikes(device) | Track::Submitter(device, ..) => {
                Some(Track::Device(Some(*device)))
            }
            Track::Owner(..) => Some(Track::Owners),
        }
    }

    /// What its counters share the scale with.
    fn counter(&self) -> Option<CounterDescriptor> {
        let key = match self {
            Track::OnDevice(..) => "device",
            Track::Owner(..) => "owner",
            _ => return None,
        };
        Some(CounterDescriptor {
            unit: Some(SIZE_BYTES),
            y_axis_share_key: Some(key.to_owned()),
        })
    }

    fn rank(&self) -> Option<i32> {
        match self {
            Track::OnDevice(_, rank, _) | Track::Owner(rank, _) => Some(*rank),
            // Below the counters.
            Track::Spikes(_) => Some(100),
            Track::Submitter(..) => Some(101),
            Track::Recording | Track::Device(_) | Track::Owners => None,
        }
    }
}

pub(super) struct Writer<W> {
    out: W,
    uuids: HashMap<Track, u64>,
    /// What the owners' rows are, such as `command`.
    owners: &'static str,
}

impl<W: Write> Writer<W> {
    /// Begins with the clock: all times are those of the wall clock. Without that Perfetto takes
    /// them for times since boot.
    pub fn new(out: W, owners: &'static str, start: Timestamp) -> io::Result<Writer<W>> {
        let mut writer = Writer {
            out,
            uuids: HashMap::new(),
            owners,
        };
        let clock = Clock {
            clock_id: Some(REALTIME),
            timestamp: Some(ns(start)),
        };
        writer.packet(TracePacket {
            timestamp: Some(ns(start)),
            timestamp_clock_id: Some(REALTIME),
            sequence_flags: Some(CLEARED),
            clock_snapshot: Some(ClockSnapshot {
                clocks: vec![clock],
                primary_trace_clock: Some(REALTIME),
            }),
            ..TracePacket::default()
        })?;
        Ok(writer)
    }

    pub fn counter(
        &mut self,
        at: Timestamp,
        track: &Track,
        value: u64,
        name: &str,
    ) -> io::Result<()> {
        let event = TrackEvent {
            r#type: Some(Kind::Counter as i32),
            counter_value: Some(i64::try_from(value).unwrap_or(i64::MAX)),
            ..TrackEvent::default()
        };
        self.event(at, track, name, event)
    }

    pub fn slice(
        &mut self,
        (from, to): (Timestamp, Timestamp),
        track: &Track,
        track_name: &str,
        slice: Slice,
    ) -> io::Result<()> {
        let begin = TrackEvent {
            r#type: Some(Kind::SliceBegin as i32),
            name: Some(escape(&slice.name).into_owned()),
            categories: vec![slice.category.to_owned()],
            debug_annotations: slice.args,
            ..TrackEvent::default()
        };
        self.event(from, track, track_name, begin)?;
        let end = TrackEvent {
            r#type: Some(Kind::SliceEnd as i32),
            ..TrackEvent::default()
        };
        self.event(to, track, track_name, end)
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn event(
        &mut self,
        at: Timestamp,
        track: &Track,
        name: &str,
        event: TrackEvent,
    ) -> io::Result<()> {
        let uuid = self.uuid(track, name)?;
        self.packet(TracePacket {
            timestamp: Some(ns(at)),
            timestamp_clock_id: Some(REALTIME),
            track_event: Some(TrackEvent {
                track_uuid: Some(uuid),
                ..event
            }),
            ..TracePacket::default()
        })
    }

    /// The number of a track. It is described when it is first used.
    fn uuid(&mut self, track: &Track, name: &str) -> io::Result<u64> {
        if let Some(known) = self.uuids.get(track) {
            return Ok(*known);
        }
        let parent_uuid = match track.parent() {
            Some(parent) => {
                let owners = format!("bytes written by {}", self.owners);
                let parent_name = match &parent {
                    Track::Owners => &owners,
                    // Whoever uses a track of a device has named the device before.
                    _ => "device",
                };
                Some(self.uuid(&parent, parent_name)?)
            }
            None => None,
        };
        // 0 is Perfetto's own default track.
        let uuid = self.uuids.len() as u64 + 1;
        self.uuids.insert(track.clone(), uuid);
        self.packet(TracePacket {
            track_descriptor: Some(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid,
                name: Some(escape(name).into_owned()),
                counter: track.counter(),
                child_ordering: matches!(track, Track::Device(_) | Track::Owners)
                    .then_some(EXPLICIT),
                sibling_order_rank: track.rank(),
            }),
            ..TracePacket::default()
        })?;
        Ok(uuid)
    }

    /// Describes a device's track.
    pub fn know_device(&mut self, device: Option<Number>, name: &str) -> io::Result<()> {
        self.uuid(&Track::Device(device), name).map(|_| ())
    }

    fn packet(&mut self, packet: TracePacket) -> io::Result<()> {
        let packet = TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            ..packet
        };
        // A message that follows another one of its type adds to it.
        let trace = Trace {
            packet: vec![packet],
        };
        self.out.write_all(&trace.encode_to_vec())
    }
}

/// What a slice says.
pub(super) struct Slice {
    pub name: String,
    pub category: &'static str,
    pub args: Vec<Annotation>,
}

/// Nanoseconds since 1970; 0 if they do not fit.
pub(super) fn ns(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}
