//! The messages of a Perfetto trace, as far as they are used: fields and numbers of
//! `protos/perfetto/trace/trace.proto`, `trace_packet.proto`, `clock_snapshot.proto`,
//! `track_event/track_descriptor.proto`, `track_event/counter_descriptor.proto`,
//! `track_event/track_event.proto`, `track_event/debug_annotation.proto` and
//! `protos/perfetto/common/builtin_clock.proto` of Perfetto. They are a stable interface: a field's
//! number never gets another meaning.

/// `BuiltinClock.BUILTIN_CLOCK_REALTIME`.
pub(super) const REALTIME: u32 = 1;
/// `TracePacket.SequenceFlags.SEQ_INCREMENTAL_STATE_CLEARED`.
pub(super) const CLEARED: u32 = 1;
/// `CounterDescriptor.Unit.UNIT_SIZE_BYTES`.
pub(super) const SIZE_BYTES: i32 = 3;
/// `TrackDescriptor.ChildTracksOrdering.EXPLICIT`.
pub(super) const EXPLICIT: i32 = 3;

/// `TrackEvent.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SliceBegin = 1,
    SliceEnd = 2,
    Counter = 4,
}

/// The file: packets, one after the other.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Trace {
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TracePacket {
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "58")]
    pub timestamp_clock_id: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub sequence_flags: Option<u32>,
    #[prost(message, optional, tag = "6")]
    pub clock_snapshot: Option<ClockSnapshot>,
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClockSnapshot {
    #[prost(message, repeated, tag = "1")]
    pub clocks: Vec<Clock>,
    /// A `BuiltinClock`.
    #[prost(uint32, optional, tag = "2")]
    pub primary_trace_clock: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Clock {
    #[prost(uint32, optional, tag = "1")]
    pub clock_id: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub timestamp: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
    #[prost(int32, optional, tag = "11")]
    pub child_ordering: Option<i32>,
    #[prost(int32, optional, tag = "12")]
    pub sibling_order_rank: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CounterDescriptor {
    #[prost(int32, optional, tag = "3")]
    pub unit: Option<i32>,
    /// Counters of one parent with the same key have the same scale.
    #[prost(string, optional, tag = "7")]
    pub y_axis_share_key: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TrackEvent {
    #[prost(string, repeated, tag = "22")]
    pub categories: Vec<String>,
    #[prost(string, optional, tag = "23")]
    pub name: Option<String>,
    /// A [`Kind`].
    #[prost(int32, optional, tag = "9")]
    pub r#type: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<Annotation>,
}

/// `DebugAnnotation`: an argument of a slice.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Annotation {
    #[prost(string, optional, tag = "10")]
    pub name: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    pub uint_value: Option<u64>,
    #[prost(string, optional, tag = "6")]
    pub string_value: Option<String>,
    #[prost(message, repeated, tag = "11")]
    pub dict_entries: Vec<Annotation>,
    #[prost(message, repeated, tag = "12")]
    pub array_values: Vec<Annotation>,
}

impl Annotation {
    pub fn number(name: &str, value: u64) -> Annotation {
        Annotation {
            name: Some(name.to_owned()),
            uint_value: Some(value),
            ..Annotation::default()
        }
    }

    pub fn text(name: &str, value: impl Into<String>) -> Annotation {
        Annotation {
            name: Some(name.to_owned()),
            string_value: Some(value.into()),
            ..Annotation::default()
        }
    }

    pub fn dict(name: &str, entries: Vec<Annotation>) -> Annotation {
        Annotation {
            name: Some(name.to_owned()),
            dict_entries: entries,
            ..Annotation::default()
        }
    }

    /// A list of things with several values each.
    pub fn list(name: &str, values: impl IntoIterator<Item = Vec<Annotation>>) -> Annotation {
        let values = values.into_iter().map(|entries| Annotation {
            dict_entries: entries,
            ..Annotation::default()
        });
        Annotation {
            name: Some(name.to_owned()),
            array_values: values.collect(),
            ..Annotation::default()
        }
    }
}
