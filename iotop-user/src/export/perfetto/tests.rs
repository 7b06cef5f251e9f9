//! The trace of made-up samples, decoded: its counters, slices and times.

use std::time::Duration;

use prost::Message as _;

use super::{
    proto::{CLEARED, Kind, REALTIME, Trace, TracePacket},
    *,
};
use crate::golden;

/// Follows the last sample without a gap, or with one.
fn after(mut sample: Sample, seconds: u64) -> Sample {
    sample.time = golden::sample().time + Duration::from_secs(seconds);
    sample.interval = Duration::from_secs(1);
    sample
}

fn exported(samples: &[Sample], by: ReportBy, owners: &[&str]) -> Trace {
    let owners = owners.iter().map(|name| Some(Arc::from(*name))).collect();
    let start = samples[0].time - samples[0].interval;
    let mut out = Vec::new();
    let mut export = Export::new(&mut out, by, owners, start, TimeZone::UTC).expect("begun");
    let mut names = DeviceNames::new("/nonexistent".as_ref());
    for sample in samples {
        export.add(sample, &mut names).expect("added");
    }
    export.finish().expect("finished");
    Trace::decode(&out[..]).expect("a trace")
}

/// The names of the tracks, with those of their parents.
fn tracks(trace: &Trace) -> BTreeMap<u64, String> {
    let mut names = BTreeMap::new();
    for track in trace
        .packet
        .iter()
        .filter_map(|packet| packet.track_descriptor.as_ref())
    {
        let parent = track.parent_uuid.map(|parent| &names[&parent]);
        let name = track.name.clone().expect("named");
        let whole = parent.map_or(name.clone(), |parent| format!("{parent}/{name}"));
        names.insert(track.uuid.expect("numbered"), whole);
    }
    names
}

/// The sum of the values of each counter.
fn sums(trace: &Trace) -> BTreeMap<String, u64> {
    let tracks = tracks(trace);
    let mut sums = BTreeMap::new();
    for event in trace
        .packet
        .iter()
        .filter_map(|packet| packet.track_event.as_ref())
    {
        if let Some(value) = event.counter_value {
            let track = tracks[&event.track_uuid.expect("on a track")].clone();
            *sums.entry(track).or_default() += value.cast_unsigned();
        }
    }
    sums
}

#[test]
fn the_counters_have_every_byte() {
    let samples = [
        after(golden::sample(), 1),
        after(golden::journaled(), 2),
        after(golden::without_ebpf(), 3),
        after(golden::sample(), 10),
    ];
    let trace = exported(&samples, ReportBy::Command, &["postgres"]);
    let sums = sums(&trace);
    let of = |part: &str| -> u64 {
        let those = sums.iter().filter(|(name, _)| name.contains(part));
        those.map(|(_, bytes)| bytes).sum()
    };
    let all = samples.iter().filter_map(|sample| sample.system.block);
    let all = all.fold(
        Default::default(),
        |sum: crate::sample::BlockTotals, block| sum + block,
    );
    assert_eq!(of("/written: "), all.write);
    assert_eq!(of("/written: journals and metadata"), all.metadata.total());
    assert_eq!(of("/written: no owner"), all.unattributed.in_total());
    assert_eq!(of("/read"), all.read);
    assert_eq!(of("bytes written by command/"), all.write);
    assert_eq!(of("/no owner"), all.unattributed.in_total());
    assert_ne!(of("command/postgres"), 0);
}

#[test]
fn what_is_not_recorded_is_said_and_no_counter_goes_on_there() {
    let samples = [after(golden::sample(), 1), after(golden::sample(), 10)];
    let trace = exported(&samples, ReportBy::Command, &[]);
    let slices = trace.packet.iter().filter(|packet| {
        let event = packet.track_event.as_ref();
        event.is_some_and(|event| event.name.as_deref() == Some("nothing recorded"))
    });
    let end = writer::ns(samples[0].time);
    assert_eq!(
        slices.map(|slice| slice.timestamp).collect::<Vec<_>>(),
        [Some(end)]
    );
    let mut last: BTreeMap<u64, i64> = BTreeMap::new();
    for packet in trace
        .packet
        .iter()
        .filter(|packet| packet.timestamp <= Some(end))
    {
        if let Some(event) = &packet.track_event
            && let Some(value) = event.counter_value
        {
            last.insert(event.track_uuid.expect("on a track"), value);
        }
    }
    assert!(
        !last.is_empty() && last.values().all(|value| *value == 0),
        "{last:?}"
    );
}

#[test]
fn slices_have_the_bytes_of_the_flushes_and_do_not_overlap_on_a_track() {
    let samples = [
        after(golden::flushed(), 1),
        after(golden::journaled(), 2),
        after(golden::flushed(), 3),
    ];
    let trace = exported(&samples, ReportBy::Unit, &[]);
    let mut open: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut bytes, mut begun) = (0, 0);
    let mut packets: Vec<&TracePacket> = trace.packet.iter().collect();
    packets.sort_by_key(|packet| packet.timestamp);
    for packet in packets {
        let Some(event) = &packet.track_event else {
            continue;
        };
        let track = event.track_uuid.expect("on a track");
        if event.r#type == Some(Kind::SliceEnd as i32) {
            open.remove(&track).expect("begun");
        } else if event.r#type == Some(Kind::SliceBegin as i32) {
            assert_eq!(open.insert(track, 1), None, "overlaps: {event:?}");
            let args = event.debug_annotations.iter();
            let sizes = args.filter(|arg| arg.name.as_deref() == Some("bytes"));
            bytes += sizes.filter_map(|size| size.uint_value).sum::<u64>();
            begun += 1;
        }
    }
    let flushes = samples.iter().flat_map(|sample| &sample.flushes);
    let written: u64 = flushes.map(|flush| flush.written.totals.write).sum();
    assert_eq!(bytes, written);
    assert!(begun > 3 && open.is_empty());
}

#[test]
fn a_spike_is_one_slice_with_its_explanation_although_it_goes_on_at_first() {
    let mut going_on = after(golden::spiked(true), 1);
    let over = after(golden::spiked(false), 2);
    for (open, over) in going_on.spikes.iter_mut().zip(&over.spikes) {
        (open.device, open.start) = (over.device, over.start);
    }
    for samples in [&[going_on.clone(), over.clone()][..], &[going_on][..]] {
        let trace = exported(samples, ReportBy::Command, &[]);
        let events = trace
            .packet
            .iter()
            .filter_map(|packet| packet.track_event.as_ref());
        let spikes = events.filter(|event| event.categories == ["spike"]);
        let spikes: Vec<_> = spikes.collect();
        assert_eq!(spikes.len(), 1);
        let text = |arg: &&Annotation| arg.name.as_deref() == Some("explanation");
        let said = spikes[0].debug_annotations.iter().find(text);
        let said = said.and_then(|arg| arg.string_value.as_deref());
        assert!(said.expect("explained").contains("SPIKE on "), "{said:?}");
    }
}

#[test]
fn times_are_those_of_the_wall_clock() {
    let sample = golden::sample();
    let trace = exported(std::slice::from_ref(&sample), ReportBy::Command, &[]);
    let first = &trace.packet[0];
    assert_eq!(first.sequence_flags, Some(CLEARED));
    let clock = first.clock_snapshot.as_ref().expect("first of all");
    assert_eq!(clock.primary_trace_clock, Some(REALTIME));
    let start = writer::ns(sample.time - sample.interval);
    assert_eq!(clock.clocks[0].timestamp, Some(start));
    for packet in &trace.packet {
        assert_eq!(packet.trusted_packet_sequence_id, Some(1));
        if packet.timestamp.is_some() {
            assert_eq!(packet.timestamp_clock_id, Some(REALTIME));
            assert!(packet.timestamp >= Some(start));
        }
    }
}

#[test]
fn hostile_names_do_not_leave_their_place() {
    let mut sample = golden::sample();
    let hostile = "\u{1b}[2J\n\u{202e}<b>";
    for task in &mut sample.tasks {
        task.comm = hostile.into();
    }
    for flush in &mut sample.flushes {
        if let Some(submitter) = &mut flush.submitter {
            submitter.comm = hostile.into();
        }
    }
    let trace = exported(&[sample], ReportBy::Command, &[hostile]);
    let names = tracks(&trace).into_values();
    let names: Vec<String> = names.filter(|name| name.contains("<b>")).collect();
    assert!(!names.is_empty());
    assert!(
        names
            .iter()
            .all(|name| !name.chars().any(crate::escape::is_dangerous)),
        "{names:?}"
    );
}
