//! A sample and what is restored from its lines are the same.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    Restorer,
    drawn::{Draw, name},
    lines,
};
use crate::{
    golden,
    output::{SCHEMA, ndjson::VERSION},
    sample::{FileKey, ForOthers, Sample},
};

fn text(sample: &Sample) -> BytesMut {
    let mut text = BytesMut::new();
    lines(sample, name, &mut text).expect("written");
    text
}

fn restored(text: &[u8]) -> Vec<Sample> {
    let mut restorer = Restorer::default();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut samples: Vec<Sample> = Vec::new();
    for line in lines {
        let before = restorer.line(line);
        samples.extend(before.unwrap_or_else(|error| panic!("{error} in {}", line.escape_ascii())));
    }
    samples.extend(restorer.finish());
    samples
}

/// The samples of the golden files, with devices named as here and without paths of no fact.
fn samples() -> [Sample; 5] {
    let samples = [
        golden::sample(),
        golden::without_ebpf(),
        golden::journaled(),
        golden::spiked(false),
        golden::spiked(true),
    ];
    samples.map(|mut sample| {
        let facts = &sample.facts;
        let is_of_fact = |key: &FileKey| facts.iter().any(|fact| fact.file_key() == *key);
        sample.paths.retain(|key, _| is_of_fact(key));
        sample.for_others = ForOthers::new(&sample.facts, &sample.tasks, false, name);
        sample
    })
}

#[test]
fn usual_samples_are_restored_exactly() {
    for sample in samples() {
        assert_eq!(restored(&text(&sample)), [sample]);
    }
}

proptest! {
    #[test]
    fn any_sample_is_restored_exactly(
        one in prop::collection::vec(any::<u64>(), 0..3000),
        other in prop::collection::vec(any::<u64>(), 0..3000),
    ) {
        let samples = [one, other].map(|numbers| Draw(&numbers).sample());
        let mut both = text(&samples[0]);
        both.extend_from_slice(&text(&samples[1]));
        prop_assert_eq!(restored(&both), samples);
    }
}

/// Recordings that exist stay readable: a change of this file needs a new version, or fields that
/// may be missing.
#[test]
fn lines_of_recordings_stay_as_they_are() {
    let text = text(&golden::journaled());
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    golden::compare("src/hostile/corpus/recorded_lines/journaled", &text);
}

#[test]
fn usual_samples_have_lines_of_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for sample in samples() {
        let text = text(&sample);
        let lines = text[..].split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).expect("JSON");
            let errors: Vec<_> = validator
                .iter_errors(&line)
                .map(|e| e.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?} in {line}");
        }
    }
}

/// The first line that can't be used, of these lines.
fn refused(text: &[u8]) -> String {
    let mut restorer = Restorer::default();
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let error = lines.find_map(|line| restorer.line(line).err());
    error.expect("refused").to_string()
}

#[test]
fn a_line_that_can_t_be_used_is_refused_in_words() {
    let text = text(&golden::journaled());
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    let newer = text.replacen("{\"v\":1,", "{\"v\":2,", 1);
    assert!(refused(newer.as_bytes()).contains("version 2"), "{VERSION}");
    let (system, rest) = text.split_once('\n').expect("lines");
    assert!(refused(rest.as_bytes()).contains("no `system` line"));
    let facts: Vec<&str> = rest
        .lines()
        .filter(|line| line.contains("\"fact\""))
        .collect();
    let no_rows = format!("{system}\n{}", facts.join("\n"));
    assert!(refused(no_rows.as_bytes()).contains("names row"));
    assert!(refused(b"{\"a\":1}").contains("not a line of a recording"));
    let large = text.replace("\"bytes\":268435456", "\"bytes\":9000000000268435456");
    assert!(refused(large.as_bytes()).contains("more than any"));
    let call = text.replace("\"fsync\"", "\"fsink\"");
    assert!(refused(call.as_bytes()).contains("fsink"));
    let unequal = text.replace("\"files\":[0]", "\"files\":[]");
    assert!(refused(unequal.as_bytes()).contains("differ in length"));
}

/// A newer program of the same version may add types of lines and fields.
#[test]
fn lines_and_fields_that_are_not_known_are_left_out() {
    let sample = samples().into_iter().next().expect("one");
    let text = String::from_utf8(text(&sample).to_vec()).expect("UTF-8");
    let with = text.replace("\"type\":\"disk\",", "\"type\":\"disk\",\"new\":[{}],")
        + "{\"v\":1,\"type\":\"wake\",\"seq\":1,\"time\":\"2026-11-28T00:00:00.000000Z\"}\n";
    assert_eq!(restored(with.as_bytes()), [sample]);
}
